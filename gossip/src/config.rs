//! What one can turn in the protocol, with presets for the networks people have.

use std::time::Duration;

use crate::courier::pace::PaceConfig;
use crate::pull::Pace;

/// How much a member doubts itself before it doubts others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doctrine {
    /// Lifeguard, a confirm round before any accusation of death, and a question of one's own before believing one.
    Careful,
    /// SWIM as published in 2002: fixed suspicion, deaths believed on hearsay, no notice taken of one's own slowness.
    /// The baseline that simulations compare with; never the right choice for a mesh.
    Plain,
}

/// The parameters of the protocol core. Start from a preset and change what you must; [`Config::check`] says what cannot
/// work. All members of a mesh should share one preset, but nothing breaks while they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long from one probe to the next. Default (`lan`) 100 ms. A crash is first noticed after about this long
    /// whatever the size of the mesh; each member sends and answers one small packet in it.
    pub probe_period: Duration,
    /// How long to wait for one answer, at least. Default 100 ms. Take twice the longest round trip you expect; while a
    /// member notices that it is slow itself it waits up to `awareness_max` times longer.
    pub probe_timeout: Duration,
    /// How many members are asked to try when a direct ping had no answer. Default 3. Lifeguard's and SWIM's k.
    pub indirect_probes: usize,
    /// How often a probe is tried before its target is suspected; the first try is direct only. Default 3; 1–8.
    pub probe_tries: u8,
    /// How often a suspect is tried, directly and indirectly, before it is accused of death. Default 2; 0–8.
    pub confirm_tries: u8,
    /// How often one asks an accused oneself before believing its death. Default 2; 0–8.
    pub hearsay_tries: u8,
    /// The questions of `hearsay_tries` are spread over this time, lest a thousand members ask at once. Default 50 ms.
    pub hearsay_jitter: Duration,
    /// Suspicion lasts at least this many probe periods times the decimal logarithm of the members. Default 3.
    pub suspicion_mult: u32,
    /// Without confirmations it lasts this many times longer. Default 6, as in Lifeguard.
    pub suspicion_max_mult: u32,
    /// So many independent confirmations bring it down to the minimum. Default 3.
    pub suspicion_confirmations: usize,
    /// The worst score of one's own health; time-outs grow by it. Default 8 (Lifeguard's LHM), 0 turns it off.
    pub awareness_max: u8,
    /// A rumour is sent at least this often by each member that carries it. Default 12.
    pub retransmit_floor: u32,
    /// … and at least this many times the natural logarithm of the members. Default 1.6.
    pub retransmit_mult: f64,
    /// How many members a fresh rumour is pushed to at once. Default 4.
    pub push_fanout: usize,
    /// How long between further pushes of a rumour. Default 40 ms.
    pub push_period: Duration,
    /// The most packets pushed in one `push_period`, when there is much to tell. Default 48: under 60 KB.
    pub push_packets: usize,
    /// For how long a rumour is repeated to whoever shows another view. Default 2 s.
    pub news_window: Duration,
    /// How long a newcomer's first own check may be put off, so that a thousand members do not ask at once. Default 300 ms.
    pub newcomer_jitter: Duration,
    /// How many dead members the whole mesh tries again per second. Default 6.
    pub reunions_per_second: f64,
    /// Dead members that did not leave are tried for this long. Default 24 h.
    pub forget_dead_after: Duration,
    /// A member whose key died with it is forgotten after this long. Default 60 s.
    pub forget_ephemeral_after: Duration,
    /// How long between hellos to a seed that is not a live member, at first. Default 200 ms; doubles up to `seed_retry_max`.
    pub seed_retry_min: Duration,
    /// … and at last. Default 5 s. Seeds are tried for ever.
    pub seed_retry_max: Duration,
    /// The most members there can be. Default 4,000. Beyond it members that never answered anybody go first.
    pub members_max: usize,
    /// How long to wait for a record that rumours should bring, when only its announcement came. Default 200 ms: as long as
    /// news take to spread, so that what is too large for rumours is asked of who just got it and not all of its owner.
    pub hold_back: Duration,
    /// How long an answer over a stream may take, connecting included. Default 1 s; twice as long for each
    /// further try.
    pub ask_timeout: Duration,
    /// How long a difference between two views may last before the courier compares them. Default 1.5 s.
    pub exchange_after: Duration,
    /// … and how often views are compared in any case. Default 60 s.
    pub exchange_period: Duration,
    /// How this member judges others.
    pub doctrine: Doctrine,
}

/// A set of parameters that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gossip: `{field}` {wrong}")]
pub struct BadConfig {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub wrong: &'static str,
}

impl Config {
    /// Processes on one machine: short time-outs.
    pub fn local() -> Self {
        Self {
            probe_timeout: Duration::from_millis(60),
            hearsay_jitter: Duration::from_millis(30),
            newcomer_jitter: Duration::from_millis(100),
            hold_back: Duration::from_millis(100),
            seed_retry_max: Duration::from_secs(2),
            exchange_after: Duration::from_secs(1),
            ..Self::lan()
        }
    }

    /// Machines in one data centre or region, round trips up to some 40 ms. The default.
    pub fn lan() -> Self {
        Self {
            probe_period: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(100),
            indirect_probes: 3,
            probe_tries: 3,
            confirm_tries: 2,
            hearsay_tries: 2,
            hearsay_jitter: Duration::from_millis(50),
            suspicion_mult: 3,
            suspicion_max_mult: 6,
            suspicion_confirmations: 3,
            awareness_max: 8,
            retransmit_floor: 12,
            retransmit_mult: 1.6,
            push_fanout: 4,
            push_period: Duration::from_millis(40),
            push_packets: 48,
            news_window: Duration::from_secs(2),
            newcomer_jitter: Duration::from_millis(300),
            reunions_per_second: 6.0,
            forget_dead_after: Duration::from_secs(24 * 3600),
            forget_ephemeral_after: Duration::from_secs(60),
            seed_retry_min: Duration::from_millis(200),
            seed_retry_max: Duration::from_secs(5),
            members_max: 4_000,
            hold_back: Duration::from_millis(200),
            ask_timeout: Duration::from_secs(1),
            exchange_after: Duration::from_millis(1_500),
            exchange_period: Duration::from_secs(60),
            doctrine: Doctrine::Careful,
        }
    }

    /// Regions of the world, round trips up to some 350 ms.
    pub fn wan() -> Self {
        Self {
            probe_period: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(500),
            hearsay_jitter: Duration::from_millis(250),
            push_period: Duration::from_millis(150),
            news_window: Duration::from_secs(5),
            newcomer_jitter: Duration::from_secs(1),
            hold_back: Duration::from_secs(1),
            seed_retry_min: Duration::from_secs(1),
            seed_retry_max: Duration::from_secs(15),
            ask_timeout: Duration::from_secs(8),
            exchange_after: Duration::from_secs(5),
            ..Self::lan()
        }
    }

    /// Simulations of many thousand members: slower probes, larger tables.
    pub fn sim() -> Self {
        Self {
            probe_period: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(150),
            members_max: 20_000,
            ..Self::lan()
        }
    }

    /// The same parameters for [`Doctrine::Plain`].
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            probe_tries: 2,
            confirm_tries: 0,
            hearsay_tries: 0,
            suspicion_confirmations: 0,
            awareness_max: 0,
            doctrine: Doctrine::Plain,
            ..self
        }
    }

    /// Says what cannot work.
    ///
    /// # Errors
    /// The first field that is out of bounds, and why.
    pub fn check(&self) -> Result<(), BadConfig> {
        let positive = [
            ("probe_period", self.probe_period),
            ("probe_timeout", self.probe_timeout),
            ("push_period", self.push_period),
            ("news_window", self.news_window),
            ("seed_retry_min", self.seed_retry_min),
            ("ask_timeout", self.ask_timeout),
            ("exchange_after", self.exchange_after),
            ("exchange_period", self.exchange_period),
        ];
        let wrong = |field, wrong| Err(BadConfig { field, wrong });
        for (field, value) in positive {
            if value.is_zero() {
                return wrong(field, "must be longer than nothing");
            }
        }
        if self.probe_tries == 0 || self.probe_tries > 8 {
            return wrong("probe_tries", "must be from 1 to 8");
        }
        if self.confirm_tries > 8 || self.hearsay_tries > 8 {
            return wrong("confirm_tries and hearsay_tries", "must be at most 8");
        }
        if self.seed_retry_max < self.seed_retry_min {
            return wrong("seed_retry_max", "must not be shorter than seed_retry_min");
        }
        if self.members_max < 2 {
            return wrong("members_max", "must allow at least two members");
        }
        if self.push_fanout == 0 || self.push_packets < self.push_fanout {
            return wrong("push_fanout", "must be at least 1 and at most push_packets");
        }
        if !(self.retransmit_mult.is_finite() && self.retransmit_mult >= 0.0) {
            return wrong("retransmit_mult", "must be a number from 0 up");
        }
        if !(self.reunions_per_second.is_finite() && self.reunions_per_second > 0.0) {
            return wrong("reunions_per_second", "must be above 0, or a healed partition never meets again");
        }
        Ok(())
    }

    /// When the courier compares views.
    pub fn pace(&self) -> PaceConfig {
        PaceConfig { spread: self.exchange_after, least: self.exchange_after * 2, routine: self.exchange_period }
    }

    /// How eagerly what is missing is asked for.
    pub fn pull(&self) -> Pace {
        Pace { hold_back: self.hold_back, answer_within: self.ask_timeout, ..Pace::default() }
    }

    /// How often each member sends a rumour in a mesh of `members`.
    pub fn retransmits(&self, members: usize) -> u32 {
        let natural = self.retransmit_mult * ((members + 1) as f64).ln();
        self.retransmit_floor.max(natural.ceil() as u32)
    }

    /// How long suspicion lasts in a mesh of `members` after `confirmations` (Lifeguard §4, memberlist's formula).
    pub fn suspicion(&self, members: usize, confirmations: usize) -> Duration {
        let scale = (members.max(1) as f64).log10().max(1.0);
        let shortest = self.probe_period.mul_f64(f64::from(self.suspicion_mult) * scale);
        let wanted = self.suspicion_confirmations;
        if wanted == 0 {
            return shortest;
        }
        let longest = shortest * self.suspicion_max_mult;
        let progress = ((confirmations.min(wanted) + 1) as f64).ln() / ((wanted + 1) as f64).ln();
        longest.saturating_sub((longest - shortest).mul_f64(progress)).max(shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn every_preset_passes_its_own_check() {
        for preset in [Config::local(), Config::lan(), Config::wan(), Config::sim(), Config::lan().plain()] {
            assert_eq!(preset.check(), Ok(()));
        }
    }

    #[test]
    fn suspicion_shortens_with_every_confirmation_and_never_below_the_minimum() {
        let config = Config::lan();
        let lasts: Vec<_> = (0..6).map(|confirmations| config.suspicion(200, confirmations)).collect();
        assert!(lasts[0] > lasts[1] && lasts[1] > lasts[2] && lasts[2] > lasts[3]);
        assert_eq!(lasts[3], lasts[5]);
        assert_eq!(lasts[0], lasts[3] * config.suspicion_max_mult);
    }
}
