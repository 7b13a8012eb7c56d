//! Who of two equals has less to do.

use std::time::Duration;

use tokio::time::Instant;

/// Latencies within this factor of each other count as the same: nobody is left idle for being a little slower.
const MUCH_SLOWER: u32 = 2;

/// Nor does a difference below this: so much comes and goes on a busy machine.
const NOISE: Duration = Duration::from_millis(10);

/// After this long without an answer half of what is known about a latency is forgotten, so that an agent that was slow
/// once is tried again.
const HALF_LIFE: Duration = Duration::from_secs(1);

/// So many answers in a row have to be slow before an agent counts as slow.
const ANSWERS: usize = 4;

/// How much an agent has to do, as one caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Calls under way.
    pub in_flight: u32,
    /// How long it takes to answer, recently; zero when unknown.
    pub latency: Duration,
    /// When it was chosen last: greater is later.
    pub chosen: u64,
}

/// How long an agent takes at least, of late; forgotten when it gets old. The least rather than the mean: one answer
/// that was slow says something about the machine, not about the agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    recent: [Duration; ANSWERS],
    answers: usize,
    at: Option<Instant>,
}

impl Load {
    /// Whether this one should get the next call rather than `other`: it has less to do, measured by the time that takes;
    /// of two who have as much, the one that has been waiting longer.
    pub fn is_before(&self, other: &Self) -> bool {
        let (own, others) = self.compared_latencies(other);
        let cost = |load: &Self, latency: Duration| latency.saturating_mul(load.in_flight.saturating_add(1));
        cost(self, own).cmp(&cost(other, others)).then(self.chosen.cmp(&other.chosen)).is_lt()
    }

    /// Latencies that say something, or the same for both.
    fn compared_latencies(&self, other: &Self) -> (Duration, Duration) {
        let (least, most) = (self.latency.min(other.latency), self.latency.max(other.latency));
        let is_known = !least.is_zero();
        if is_known && most > (least * MUCH_SLOWER).max(least + NOISE) {
            (self.latency, other.latency)
        } else {
            (UNIT, UNIT)
        }
    }
}

const UNIT: Duration = Duration::from_micros(1);

impl Latency {
    /// An answer took `latency`.
    pub fn observe(&mut self, now: Instant, latency: Duration) {
        self.recent[self.answers % ANSWERS] = latency;
        self.answers += 1;
        self.at = Some(now);
    }

    /// What is still known of it; zero while too little is.
    pub fn now(&self, now: Instant) -> Duration {
        let (Some(at), true) = (self.at, self.answers >= ANSWERS) else { return Duration::ZERO };
        let least = self.recent.into_iter().min().unwrap_or_default();
        let halvings = now.saturating_duration_since(at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        least.mul_f64(0.5_f64.powf(halvings))
    }
}

/// Two different ones of `count`, drawn with `random`; the same twice when there is only one.
///
/// # Panics
/// When `count` is 0.
pub fn two_of(count: usize, random: u64) -> (usize, usize) {
    let draw = |bits: u64, among: usize| (bits as usize) % among;
    let first = draw(random >> 32, count);
    if count == 1 {
        return (first, first);
    }
    let second = draw(random & 0xffff_ffff, count - 1);
    (first, if second >= first { second + 1 } else { second })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Latency, Load, two_of};

    const MS: Duration = Duration::from_millis(1);

    fn load(in_flight: u32, latency: Duration, chosen: u64) -> Load {
        Load { in_flight, latency, chosen }
    }

    #[test]
    fn who_has_fewer_calls_under_way_is_first() {
        assert!(load(1, MS, 9).is_before(&load(2, MS, 0)));
        assert!(!load(2, MS, 0).is_before(&load(1, MS, 9)));
    }

    #[test]
    fn of_two_with_as_much_to_do_the_one_that_waited_longer_is_first() {
        assert!(load(1, MS, 3).is_before(&load(1, MS, 4)));
        assert!(load(0, 60 * MS, 3).is_before(&load(0, 40 * MS, 4)), "a little slower is no reason");
        assert!(load(0, 9 * MS, 3).is_before(&load(0, MS, 4)), "nor are a few milliseconds");
        assert!(load(0, Duration::ZERO, 3).is_before(&load(0, MS, 4)), "nor is being unknown");
    }

    #[test]
    fn who_is_much_slower_gets_a_smaller_share() {
        assert!(load(3, MS, 9).is_before(&load(0, 20 * MS, 0)));
        assert!(!load(40, MS, 9).is_before(&load(0, 20 * MS, 0)));
    }

    #[test]
    fn slow_answers_count_when_there_is_no_other_and_are_forgotten_in_seconds() {
        let now = Instant::now();
        let mut latency = Latency::default();
        for _ in 0..3 {
            latency.observe(now, 100 * MS);
        }
        assert_eq!(latency.now(now), Duration::ZERO);
        latency.observe(now, 200 * MS);
        assert_eq!(latency.now(now), 100 * MS);
        let later = latency.now(now + Duration::from_secs(3));
        assert!((12..=13).contains(&later.as_millis()), "{later:?}");
        latency.observe(now, MS);
        assert_eq!(latency.now(now), MS);
    }

    #[test]
    fn three_equals_share_evenly() {
        let mut loads = [load(0, MS, 0); 3];
        let mut served = [0_u32; 3];
        let mut random = 7_u64;
        for tick in 1..=3000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (one, two) = two_of(3, random ^ random >> 29);
            let chosen = if loads[two].is_before(&loads[one]) { two } else { one };
            loads[chosen].chosen = tick;
            served[chosen] += 1;
        }
        assert!(served.iter().all(|count| count.abs_diff(1000) < 50), "{served:?}");
    }

    proptest! {
        #[test]
        fn two_are_drawn_within_bounds_and_differ_where_they_can(count in 1_usize..50, random: u64) {
            let (one, two) = two_of(count, random);
            prop_assert!(one < count && two < count);
            prop_assert!(one != two || count == 1);
        }

        #[test]
        fn of_two_at_most_one_is_before_the_other(
            one in (0_u32..100, 0_u64..1_000_000, 0_u64..9), two in (0_u32..100, 0_u64..1_000_000, 0_u64..9)
        ) {
            let load = |(in_flight, micros, chosen)| load(in_flight, Duration::from_micros(micros), chosen);
            let (one, two) = (load(one), load(two));
            prop_assert!(!(one.is_before(&two) && two.is_before(&one)));
        }
    }
}
