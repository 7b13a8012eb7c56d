//! How long a resolution takes among ten thousand offers: a kept answer, and one worked out anew.
//!
//! Prints one line of JSON a number: `{"id":"resolve_hot_p99_ns","value":…,"unit":"ns"}`.
#![expect(clippy::disallowed_types, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mesh_gossip::resolve::{Query, Resolver, resolve, sample};
use mesh_gossip::schema::NoBodies;

const HOT_ROUNDS: usize = 2_000;
const COLD_ROUNDS: usize = 200;
const CHANGES: usize = 5_000;

fn main() {
    let (catalog, selectors) = sample::catalog();
    for selector in &selectors {
        let resolution = resolve(&catalog, &NoBodies, selector);
        assert!(resolution.candidates.len() > 1, "{}", resolution.explanation);
    }

    let queries: Vec<Query> = selectors.iter().cloned().map(Query::new).collect();
    let resolver = Resolver::new();
    for (query, selector) in queries.iter().zip(&selectors) {
        query.answer(&catalog, &NoBodies);
        resolver.answer(&catalog, &NoBodies, selector);
    }
    // Catalogs that differ where no query looks, so that each answer is compared with its stamps, as after any news.
    let catalogs: Vec<_> = (0..8)
        .map(|round| {
            let mut changed = catalog.clone();
            let (owner, mut offers) = sample::offers(sample::CAPABILITIES, round);
            offers.tools[0].dependencies.clear();
            changed.apply(&owner, Some(Arc::new(offers))).expect("its own offers");
            changed
        })
        .collect();

    let hot = (0..HOT_ROUNDS).flat_map(|round| queries.iter().map(move |query| (round, query)));
    report(
        "resolve_hot_p99_ns",
        hot.map(|(round, query)| {
            let catalog = &catalogs[round % catalogs.len()];
            time(|| query.answer(catalog, &NoBodies))
        }),
    );
    let shared = (0..HOT_ROUNDS / 10).flat_map(|_| &selectors);
    report(
        "resolve_by_selector_p99_ns",
        shared.map(|selector| time(|| resolver.answer(&catalog, &NoBodies, selector))),
    );
    let cold = (0..COLD_ROUNDS).flat_map(|_| &selectors);
    report("resolve_cold_p99_ns", cold.map(|selector| time(|| resolve(&catalog, &NoBodies, selector))));

    let mut changing = catalog.clone();
    let changes = (0..CHANGES).map(|change| {
        let (owner, mut offers) = sample::offers(change % sample::CAPABILITIES, change / sample::CAPABILITIES);
        offers.description = format!("change {change}");
        let offers = Arc::new(offers);
        time(|| {
            changing.apply(&owner, Some(offers)).expect("its own offers");
            changing.clone()
        })
    });
    report("publish_change_p99_ns", changes);
}

fn time<T>(work: impl FnOnce() -> T) -> u64 {
    let start = Instant::now();
    let result = black_box(work());
    let took = start.elapsed();
    drop(result);
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

fn report(id: &str, times: impl Iterator<Item = u64>) {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(r#"{{"id":"{id}","value":{p99},"unit":"ns","median":{median}}}"#);
}
