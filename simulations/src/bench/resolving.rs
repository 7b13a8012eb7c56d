//! How long a resolution takes among ten thousand offers: on a real clock, for it is about a real processor.

use std::hint::black_box;
use std::time::Instant;

use mesh_gossip::resolve::{Query, resolve, sample};
use mesh_gossip::schema::NoBodies;

/// 99 of 100 answers from the cache, and worked out anew, take no longer than this, in nanoseconds. `rounds`: how often
/// each of the sample's selectors is asked.
pub(super) fn p99s(rounds: u32) -> (f64, f64) {
    let (catalog, selectors) = sample::catalog();
    let queries: Vec<Query> = selectors.iter().cloned().map(Query::new).collect();
    for query in &queries {
        query.answer(&catalog, &NoBodies);
    }
    let mut hot = Vec::new();
    let mut cold = Vec::new();
    for _ in 0..rounds {
        for query in &queries {
            hot.push(time(|| query.answer(&catalog, &NoBodies)));
        }
    }
    for _ in 0..rounds.div_ceil(10) {
        for selector in &selectors {
            cold.push(time(|| resolve(&catalog, &NoBodies, selector)));
        }
    }
    (p99(hot), p99(cold))
}

fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let begin = Instant::now();
    let result = black_box(work());
    let took = begin.elapsed();
    drop(result);
    took.as_secs_f64() * 1e9
}

fn p99(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    crate::outcome::quantile(&times, times.len(), 0.99).unwrap_or(f64::INFINITY)
}
