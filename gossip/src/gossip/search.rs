//! Where seeds live: configured addresses, and names that are resolved again and again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::moment::Moment;
use crate::seeds::{MAX_ADDRESSES_OF_A_NAME, ResolveError, SeedSpec, resolve};

/// How long a name service may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long from one look to the next while not all seeds are live members, and when they are.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
const LOOK_SELDOM: Duration = Duration::from_secs(60);

/// What a look at a name brought.
pub(super) type Resolved = (SeedSpec, Result<Vec<SocketAddr>, ResolveError>);

/// What is known of the seeds.
pub(super) struct Search {
    names: Vec<SeedSpec>,
    addresses: Vec<SocketAddr>,
    /// Where else somebody may be, as we were told last.
    hints: Vec<SocketAddr>,
    /// What each name stood for when it was last resolved.
    found: BTreeMap<SeedSpec, Vec<SocketAddr>>,
    /// What was said of those that could not be.
    unresolved: BTreeMap<SeedSpec, String>,
    next_look: Moment,
}

impl Search {
    /// Seeds as configured.
    pub(super) fn new(seeds: &[SeedSpec]) -> Self {
        let address = |seed: &SeedSpec| seed.to_string().parse::<SocketAddr>().ok();
        let names = seeds.iter().filter(|seed| address(seed).is_none()).cloned().collect();
        let addresses = seeds.iter().filter_map(address).collect();
        Self {
            names,
            addresses,
            hints: Vec::new(),
            found: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            next_look: Moment::ZERO,
        }
    }

    /// Tries `hints` as well from now on, in place of those of before.
    pub(super) fn hint(&mut self, mut hints: Vec<SocketAddr>) {
        hints.truncate(MAX_ADDRESSES_OF_A_NAME);
        self.hints = hints;
    }

    /// Whether there are seeds, but no address to try yet.
    pub(super) fn knows_nothing(&self) -> bool {
        !self.names.is_empty() && self.addresses.is_empty() && self.found.is_empty()
    }

    /// The addresses of all seeds, as last known.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut all = self.addresses.clone();
        for address in self.hints.iter().chain(self.found.values().flatten()) {
            if all.len() < MAX_ADDRESSES_OF_A_NAME && !all.contains(address) {
                all.push(*address);
            }
        }
        all
    }

    /// The names, when it is time to look at them again.
    pub(super) fn due(&mut self, now: Moment, all_live: impl FnOnce(&[SocketAddr]) -> bool) -> Option<Vec<SeedSpec>> {
        if self.names.is_empty() || now < self.next_look {
            return None;
        }
        let known = self.addresses();
        let wait = if !known.is_empty() && all_live(&known) { LOOK_SELDOM } else { LOOK_AGAIN };
        self.next_look = now.after(wait);
        Some(self.names.clone())
    }

    /// Takes in what a look has brought. A name that cannot be resolved for the moment keeps the addresses it had.
    pub(super) fn take(&mut self, (seed, outcome): Resolved) {
        match outcome {
            Ok(addresses) => {
                self.unresolved.remove(&seed);
                self.found.insert(seed, addresses);
            }
            Err(error) => {
                self.unresolved.insert(seed, error.to_string());
            }
        }
    }

    /// What the name service says of the names that could not be resolved.
    pub(super) fn unresolved(&self) -> Vec<String> {
        self.unresolved.values().cloned().collect()
    }
}

/// Looks at a name. Dropping the future loses nothing.
pub(super) async fn look(name: SeedSpec) -> Resolved {
    let outcome = resolve(&name, PATIENCE).await;
    (name, outcome)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Duration, Moment, ResolveError, Search, SocketAddr};

    #[test]
    fn names_are_looked_at_again_sooner_while_somebody_is_missing_and_keep_what_they_had() {
        let mut search = Search::new(&["seed".parse().unwrap()]);
        let at = |seconds| Moment::ZERO.after(Duration::from_secs(seconds));
        assert!(search.knows_nothing());
        let name = search.due(at(0), |_| false).unwrap().remove(0);
        assert!(search.due(at(9), |_| false).is_none());
        let address: SocketAddr = "10.0.0.1:7".parse().unwrap();
        search.take((name.clone(), Ok(vec![address])));
        assert!(!search.knows_nothing());
        assert!(search.due(at(10), |known| known == [address]).is_some());
        search.take((name.clone(), Err(ResolveError::NoAddress { seed: name })));
        assert_eq!((search.addresses(), search.unresolved().len()), (vec![address], 1));
        assert!(search.due(at(69), |_| true).is_none());
        assert!(search.due(at(70), |_| true).is_some());
    }

    #[test]
    fn addresses_need_no_name_service() {
        let mut search = Search::new(&["10.0.0.1:7".parse().unwrap()]);
        assert!(!search.knows_nothing() && search.due(Moment::ZERO, |_| false).is_none());
        assert_eq!(search.addresses(), ["10.0.0.1:7".parse().unwrap()]);
    }

    #[test]
    fn the_last_hints_count_beside_the_seeds() {
        let [seed, first, second] = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7"].map(|text| text.parse().unwrap());
        let mut search = Search::new(&["10.0.0.1:7".parse().unwrap()]);
        search.hint(vec![first, seed]);
        assert_eq!(search.addresses(), [seed, first]);
        search.hint(vec![second]);
        assert_eq!(search.addresses(), [seed, second]);
    }
}
