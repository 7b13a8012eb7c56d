//! The network between hosts: a latency per link that stays as it was drawn, loss per packet of real size, duplicates,
//! stragglers, and ordered rules that cut or spoil some of it.

use std::time::Duration;

use rand::RngExt;

use crate::dice::{Dice, fraction, mix};

/// What a packet of IPv4 carries beside UDP's payload: 20 bytes of IP and 8 of UDP.
pub const HEADER_BYTES: usize = 28;

/// IP payload of one packet on Ethernet. A datagram beyond it travels in fragments, each lost on its own.
pub const FRAGMENT_BYTES: usize = 1_480;

/// How long a packet is under way, one way.
#[derive(Clone, Debug)]
pub enum Latency {
    /// Drawn evenly between two bounds once per pair of hosts, the same both ways.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Hosts live in regions; the time between two regions is given.
    Regions {
        /// The region of each host, by index modulo the length.
        region_of: Vec<u16>,
        /// One way from region to region.
        between: Vec<Vec<Duration>>,
        /// Each pair of hosts takes up to this share longer (0.2: up to 20 %).
        spread: f64,
    },
}

/// What the network does to everything.
#[derive(Clone, Debug)]
pub struct Weather {
    /// How long packets take.
    pub latency: Latency,
    /// The share of packets lost, 0 to 1.
    pub loss: f64,
    /// The share of datagrams delivered twice, 0 to 1.
    pub duplicate: f64,
    /// The share of datagrams that straggle and arrive behind later ones, 0 to 1.
    pub straggle: f64,
    /// The longest a straggler is late.
    pub straggle_by: Duration,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: Latency::Uniform { min: Duration::from_millis(1), max: Duration::from_millis(20) },
            loss: 0.01,
            duplicate: 0.0,
            straggle: 0.0,
            straggle_by: Duration::from_millis(50),
        }
    }
}

/// A set of hosts by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSet {
    words: Vec<u64>,
}

impl HostSet {
    /// Adds a host.
    pub fn insert(&mut self, host: u32) {
        let word = host as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (host % 64);
    }

    /// Takes a host out; whether it was in.
    pub fn remove(&mut self, host: u32) -> bool {
        let was_in = self.contains(host);
        if was_in {
            self.words[host as usize / 64] &= !(1 << (host % 64));
        }
        was_in
    }

    /// How many hosts are in it.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether `host` is in it.
    pub fn contains(&self, host: u32) -> bool {
        self.words.get(host as usize / 64).is_some_and(|word| word & (1 << (host % 64)) != 0)
    }
}

impl FromIterator<u32> for HostSet {
    fn from_iter<I: IntoIterator<Item = u32>>(hosts: I) -> Self {
        let mut set = Self::default();
        for host in hosts {
            set.insert(host);
        }
        set
    }
}

/// Names a rule, so that it can be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

/// What a rule says about a packet it matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It never arrives.
    Cut,
    /// It is lost with this probability instead of the usual one.
    Lossy(f64),
    /// It takes this much longer.
    Slow(Duration),
    /// It passes unharmed, whatever later rules and the weather say.
    Pass,
}

/// Which packets a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// From any of the first to any of the second.
    OneWay(HostSet, HostSet),
    /// Between the sets, both ways.
    BothWays(HostSet, HostSet),
    /// Between the set and everybody outside it, both ways.
    Around(HostSet),
}

impl Way {
    fn covers(&self, from: u32, to: u32) -> bool {
        match self {
            Self::OneWay(a, b) => a.contains(from) && b.contains(to),
            Self::BothWays(a, b) => (a.contains(from) && b.contains(to)) || (b.contains(from) && a.contains(to)),
            Self::Around(set) => set.contains(from) != set.contains(to),
        }
    }
}

/// When a packet arrives, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Never.
    Lost,
    /// This much later.
    After(Duration),
    /// Twice, this much later each.
    Twice(Duration, Duration),
}

/// How two hosts are linked at this moment, for what rides on streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// One way.
    pub latency: Duration,
    /// The share of packets lost.
    pub loss: f64,
}

/// The network.
#[derive(Clone, Debug)]
pub struct Network {
    seed: u64,
    weather: Weather,
    rules: Vec<(RuleId, Way, Verdict)>,
    next_rule: u64,
}

impl Network {
    /// A network whose links follow from `seed`.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self { seed, weather, rules: Vec::new(), next_rule: 0 }
    }

    /// What it does to everything; may be changed at any time.
    pub fn weather(&mut self) -> &mut Weather {
        &mut self.weather
    }

    /// Adds a rule behind the present ones. The first rule that covers a packet decides.
    pub fn add_rule(&mut self, way: Way, verdict: Verdict) -> RuleId {
        let id = RuleId(self.next_rule);
        self.next_rule += 1;
        self.rules.push((id, way, verdict));
        id
    }

    /// Lifts a rule.
    pub fn lift(&mut self, rule: RuleId) {
        self.rules.retain(|(id, ..)| *id != rule);
    }

    /// Lifts all rules.
    pub fn lift_all(&mut self) {
        self.rules.clear();
    }

    /// What becomes of a datagram of `payload` bytes.
    pub fn send(&self, dice: &mut Dice, from: u32, to: u32, payload: usize) -> Fate {
        let Some(link) = self.link(from, to) else {
            return Fate::Lost;
        };
        if link.loss > 0.0 {
            let fragments = (payload + 8).div_ceil(FRAGMENT_BYTES);
            for _ in 0..fragments {
                if dice.random::<f64>() < link.loss {
                    return Fate::Lost;
                }
            }
        }
        let mut after = link.latency;
        let weather = &self.weather;
        if weather.straggle > 0.0 && dice.random::<f64>() < weather.straggle {
            after += weather.straggle_by.mul_f64(dice.random());
        }
        if weather.duplicate > 0.0 && dice.random::<f64>() < weather.duplicate {
            return Fate::Twice(after, after + weather.straggle_by.mul_f64(dice.random()));
        }
        Fate::After(after)
    }

    /// How `from` reaches `to`; `None` when it cannot.
    pub fn link(&self, from: u32, to: u32) -> Option<Link> {
        let mut link = Link { latency: self.latency(from, to), loss: self.weather.loss };
        match self.rules.iter().find(|(_, way, _)| way.covers(from, to)) {
            None => {}
            Some((.., Verdict::Cut)) => return None,
            Some((.., Verdict::Lossy(loss))) => link.loss = *loss,
            Some((.., Verdict::Slow(extra))) => link.latency += *extra,
            Some((.., Verdict::Pass)) => link.loss = 0.0,
        }
        Some(link)
    }

    /// One way between two hosts, as drawn for their link.
    pub fn latency(&self, a: u32, b: u32) -> Duration {
        if a == b {
            return Duration::from_micros(20);
        }
        let pair = (u64::from(a.min(b)) << 32) | u64::from(a.max(b));
        let share = fraction(mix(self.seed, pair));
        match &self.weather.latency {
            Latency::Uniform { min, max } => *min + (max.saturating_sub(*min)).mul_f64(share),
            Latency::Regions { region_of, between, spread } => {
                let region = |host: u32| usize::from(region_of[host as usize % region_of.len()]);
                between[region(a)][region(b)].mul_f64(1.0 + spread * share)
            }
        }
    }
}

/// What a datagram of `payload` bytes weighs on the wire, all its fragments' headers included.
pub fn wire_bytes(payload: usize) -> u64 {
    let fragments = (payload + 8).div_ceil(FRAGMENT_BYTES);
    (payload + 8 + 20 * fragments) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::dice;

    fn network(loss: f64) -> Network {
        Network::new(7, Weather { loss, ..Weather::default() })
    }

    #[test]
    fn a_link_keeps_the_latency_it_was_drawn_with() {
        let network = network(0.0);
        assert_eq!(network.latency(3, 9), network.latency(9, 3));
        assert_ne!(network.latency(3, 9), network.latency(3, 10));
        let all: Vec<_> = (1..1_000).map(|host| network.latency(0, host)).collect();
        assert!(all.iter().all(|latency| (1_000..=20_000).contains(&latency.as_micros())));
    }

    #[test]
    fn large_datagrams_are_lost_more_often_than_small_ones() {
        let (network, mut dice) = (network(0.1), dice(1, 1));
        let mut lost = |bytes| (0..10_000).filter(|_| network.send(&mut dice, 0, 1, bytes) == Fate::Lost).count();
        let (small, large) = (lost(1_000), lost(10_000));
        assert!((900..1_100).contains(&small), "{small}");
        assert!((5_000..5_500).contains(&large), "seven fragments: 1 - 0.9^7 = 52 %, not {large}");
    }

    #[test]
    fn the_first_rule_that_covers_a_packet_decides() {
        let mut network = network(0.0);
        let one: HostSet = [1].into_iter().collect();
        let two: HostSet = [2].into_iter().collect();
        network.add_rule(Way::OneWay(one.clone(), two), Verdict::Pass);
        let cut = network.add_rule(Way::Around(one), Verdict::Cut);
        assert!(network.link(1, 2).is_some());
        assert!(network.link(2, 1).is_none());
        assert!(network.link(1, 3).is_none());
        assert!(network.link(2, 3).is_some());
        network.lift(cut);
        assert!(network.link(2, 1).is_some());
    }

    #[test]
    fn wire_bytes_count_every_fragments_header() {
        assert_eq!(wire_bytes(100), 128);
        assert_eq!(wire_bytes(1_472), 1_500);
        assert_eq!(wire_bytes(1_473), 1_521);
    }
}
