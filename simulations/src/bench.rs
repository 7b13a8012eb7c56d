//! The numbers of the project, measured: every one with its bar, beside what foca and chitchat show in the same world.

mod figure;
mod lab;
mod measure;
mod peers;
mod resolving;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::execute::side_by_side;
pub use figure::{Bar, Figure, table, write};
use figure::{Id, bar_of};
use measure::Job;

/// How much to measure.
#[derive(Clone, Debug, Default)]
pub struct Effort {
    /// Only figures whose id begins with one of these; all if there is none.
    pub only: Vec<String>,
    /// A few events of each instead of a thousand: to see whether it works.
    pub quick: bool,
    /// How many worlds run side by side.
    pub workers: usize,
}

/// One number that a job has measured: a sample among many, or a count to be summed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) enum Sample {
    /// One event's time in milliseconds; infinite when it never came to its end.
    Time(f64),
    /// Part of a sum.
    Count(f64),
    /// Part of an average.
    Rate(f64),
    /// The worst counts.
    Worst(f64),
    /// The least counts.
    Least(f64),
}

type Samples = Vec<(Id, Sample)>;

/// Measures, and tells `progress` after each job how many of how many are done.
///
/// # Errors
/// What the operating system says when it refuses a runtime for chitchat.
pub fn measure(effort: &Effort, progress: &(dyn Fn(usize, usize) + Sync)) -> io::Result<Vec<Figure>> {
    let wanted = |id: &Id| effort.only.is_empty() || effort.only.iter().any(|only| id.to_string().starts_with(only));
    let jobs: Vec<Job> =
        measure::jobs(effort.quick).into_iter().filter(|job| job.gives().iter().any(&wanted)).collect();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let results = side_by_side(effort.workers, jobs.len(), |index| {
        let begin = Instant::now();
        let samples = jobs[index].run(&wanted);
        let so_far = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress(so_far, jobs.len());
        (samples, begin.elapsed())
    });
    let mut by_id: BTreeMap<Id, (Vec<Sample>, Duration)> = BTreeMap::new();
    let mut peers: BTreeMap<(Id, &'static str), Vec<Sample>> = BTreeMap::new();
    for (job, (samples, took)) in jobs.iter().zip(results) {
        for (id, sample) in samples? {
            match job.peer() {
                Some(peer) => peers.entry((id, peer)).or_default().push(sample),
                None => {
                    let entry = by_id.entry(id).or_default();
                    entry.0.push(sample);
                    entry.1 = entry.1.max(took);
                }
            }
        }
    }
    let figures = by_id.into_iter().filter(|(id, _)| wanted(id)).map(|(id, (samples, _))| {
        let of = |name: &str| peers.iter().find(|((other, peer), _)| *other == id && *peer == name);
        let peer =
            ["chitchat", "foca"].into_iter().filter_map(|name| Some((name, figure::reduce(&of(name)?.1.clone()))));
        let (bar, unit) = bar_of(id);
        Figure {
            id: id.to_string(),
            value: figure::reduce(&samples),
            unit,
            bar,
            samples: samples.len(),
            peer: peer.collect(),
        }
    });
    Ok(figures.collect())
}
