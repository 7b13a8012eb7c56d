//! When an exchange is worth asking for, and with whom. Pure.

use std::time::Duration;

use rand::seq::IteratorRandom;
use rand::{Rng, RngExt};

use crate::id::MemberId;
use crate::moment::Moment;

/// How eager to repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceConfig {
    /// How long news usually takes to reach everyone. Views that differ for less are not worth an exchange. Too short
    /// pays 38 KB (at 1,000 members) for what the next datagram would have brought; too long leaves a hole open.
    pub spread: Duration,
    /// The least time between two exchanges of ours; stretched by up to half at random, so that members that lack the
    /// same do not ask at the same time.
    pub least: Duration,
    /// How often to exchange with somebody although nothing seems missing; a quarter more or less at random. It finds
    /// what nobody noticed.
    pub routine: Duration,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { spread: Duration::from_secs(3), least: Duration::from_secs(5), routine: Duration::from_secs(60) }
    }
}

/// How another member's view compares with ours: by the hash that pings and acks carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// The same.
    Equal,
    /// Not the same.
    Different,
}

/// Decides when to ask whom for an exchange.
///
/// News on its way makes views differ all the time. What counts is a difference that lasts: whoever missed something
/// differs from everyone it meets, so one view like ours clears every difference seen before it, and only a spell of
/// differences longer than the usual spread time is answered with an exchange.
#[derive(Debug)]
pub struct Pace {
    config: PaceConfig,
    differing: Option<Differing>,
    not_before: Moment,
    routine_at: Moment,
}

#[derive(Debug)]
struct Differing {
    since: Moment,
    /// Who differed last: the likeliest to be there.
    with: MemberId,
}

impl Pace {
    /// Starts at `now`; the first routine exchange comes within the routine time, spread at random, so that nodes
    /// started together do not ask together.
    pub fn new(config: PaceConfig, now: Moment, rng: &mut impl Rng) -> Self {
        let routine_at = now.after(config.routine.mul_f64(rng.random_range(0.1..1.0)));
        Self { config, differing: None, not_before: now, routine_at }
    }

    /// Takes note of how `member`'s view compares with ours.
    pub fn saw(&mut self, now: Moment, member: MemberId, views: Views) {
        match (views, &mut self.differing) {
            (Views::Equal, _) => self.differing = None,
            (Views::Different, Some(differing)) => differing.with = member,
            (Views::Different, none) => *none = Some(Differing { since: now, with: member }),
        }
    }

    /// Since when views have differed from ours, if they do.
    pub fn differing_since(&self) -> Option<Moment> {
        self.differing.as_ref().map(|differing| differing.since)
    }

    /// Forgets `member`, who is not to be asked.
    pub fn forget(&mut self, member: MemberId) {
        self.differing = self.differing.take().filter(|differing| differing.with != member);
    }

    /// Whom to exchange with now, if anybody; `live` are the members to choose from when nobody differs. Counts as
    /// asked.
    pub fn due(
        &mut self,
        now: Moment,
        live: impl IntoIterator<Item = MemberId>,
        rng: &mut impl Rng,
    ) -> Option<MemberId> {
        if now < self.next() {
            return None;
        }
        let lasting = self.differing.take_if(|differing| differing.since.after(self.config.spread) <= now);
        let asked = lasting.map(|differing| differing.with).or_else(|| live.into_iter().choose(rng));
        self.not_before = now.after(self.config.least.mul_f64(rng.random_range(1.0..1.5)));
        self.routine_at = now.after(self.config.routine.mul_f64(rng.random_range(0.75..1.25)));
        asked
    }

    /// When [`Self::due`] is worth asking again, as things stand.
    pub fn next(&self) -> Moment {
        let lasting = self.differing.as_ref().map(|differing| differing.since.after(self.config.spread));
        lasting.map_or(self.routine_at, |at| at.min(self.routine_at)).max(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    use super::*;

    const A: MemberId = MemberId::from_bytes([1; 16]);
    const B: MemberId = MemberId::from_bytes([2; 16]);

    fn at(seconds: f64) -> Moment {
        Moment::ZERO.after(Duration::from_secs_f64(seconds))
    }

    fn pace(rng: &mut Pcg64Mcg) -> Pace {
        Pace::new(PaceConfig { routine: Duration::from_secs(600), ..PaceConfig::default() }, Moment::ZERO, rng)
    }

    #[test]
    fn a_difference_that_outlasts_the_spread_is_answered_by_whoever_differed_last() {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let mut pace = pace(&mut rng);
        pace.saw(at(10.0), A, Views::Different);
        pace.saw(at(11.0), B, Views::Different);
        assert_eq!(pace.next(), at(13.0));
        assert_eq!(pace.due(at(12.9), [A, B], &mut rng), None);
        assert_eq!(pace.due(at(13.0), [A, B], &mut rng), Some(B));
        assert_eq!(pace.due(at(13.1), [A, B], &mut rng), None);
    }

    #[test]
    fn an_equal_view_clears_what_differed_before_it() {
        let mut rng = Pcg64Mcg::seed_from_u64(2);
        let mut pace = pace(&mut rng);
        pace.saw(at(10.0), A, Views::Different);
        pace.saw(at(12.0), B, Views::Equal);
        assert_eq!(pace.due(at(14.0), [A, B], &mut rng), None);
        pace.saw(at(14.0), A, Views::Different);
        assert_eq!(pace.next(), at(17.0));
    }

    #[test]
    fn a_lasting_difference_never_asks_more_often_than_allowed() {
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        let mut pace = pace(&mut rng);
        let mut asked = Vec::new();
        for tick in 0..1_000 {
            let now = at(f64::from(tick) / 10.0);
            pace.saw(now, A, Views::Different);
            asked.extend(pace.due(now, [A], &mut rng).map(|_| now));
        }
        assert!(asked.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(5)));
        assert!(asked.len() > 10, "{} exchanges in 100 s", asked.len());
    }

    #[test]
    fn somebody_is_asked_about_once_a_minute_although_nothing_differs() {
        let mut rng = Pcg64Mcg::seed_from_u64(4);
        let mut pace = Pace::new(PaceConfig::default(), Moment::ZERO, &mut rng);
        let mut count = 0;
        for _ in 0..60 {
            let now = pace.next();
            count += usize::from(pace.due(now, [A, B], &mut rng).is_some());
        }
        let minutes = pace.next().since(Moment::ZERO).as_secs_f64() / 60.0;
        assert_eq!(count, 60);
        assert!((50.0..70.0).contains(&minutes), "{minutes} minutes");
    }

    #[test]
    fn nobody_is_asked_when_nobody_is_there() {
        let mut rng = Pcg64Mcg::seed_from_u64(5);
        let mut pace = pace(&mut rng);
        pace.saw(at(1.0), A, Views::Different);
        pace.forget(A);
        assert_eq!(pace.due(at(700.0), [], &mut rng), None);
        assert!(pace.next() > at(700.0));
    }
}
