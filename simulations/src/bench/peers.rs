//! The same for foca and chitchat, with fewer events: they are there to compare with.

use std::io;
use std::time::Duration;

use super::lab::Lab;
use super::measure::{Job, RECORDS};
use super::{Sample, Samples};
use crate::baseline::{ChitchatBreed, FocaBreed};
use crate::execute::Subject;
use crate::run::Breed;

/// How long false deaths are counted in one world.
const LOSSY_FOR: Duration = Duration::from_secs(120);

pub(super) fn measure(job: &Job, peer: Subject) -> io::Result<Samples> {
    let foca = || FocaBreed { seed: job.seed, size: job.members };
    let mut samples = match peer {
        Subject::Foca => quiet(job, foca()),
        _ => quiet(job, ChitchatBreed::new(RECORDS)?),
    };
    samples.push(match peer {
        Subject::Foca => lossy(job, foca()),
        _ => lossy(job, ChitchatBreed::new(RECORDS)?),
    });
    Ok(samples)
}

/// Bytes, news and crashes at 1 % loss.
fn quiet<B: Breed>(job: &Job, breed: B) -> Samples {
    let mut lab = Lab::converged(job.seed, job.members, 0.01, breed);
    lab.run(Duration::from_secs(60));
    let before = lab.world.traffic_of_all();
    lab.run(Duration::from_secs(30));
    let sent = lab.world.traffic_of_all().since(&before).bytes();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = sent as f64 / 30.0 / f64::from(job.members);
    let mut samples = vec![(job.id("bytes_per_s"), Sample::Rate(rate))];
    let mut news = Vec::new();
    for turn in 0..job.amount {
        let host = lab.victim(turn);
        news.push(lab.news(host, turn % RECORDS.0, 200));
        lab.run(Duration::from_secs(3));
    }
    lab.run(Duration::from_secs(10));
    let mut crashes = Vec::new();
    for turn in 0..job.amount / 4 {
        let host = lab.victim(turn);
        crashes.push(lab.crash(host));
        lab.run(Duration::from_secs(2));
    }
    lab.run(Duration::from_secs(60));
    samples.extend(news.iter().map(|event| (job.id("news_p99_ms"), lab.time(*event))));
    samples.extend(crashes.iter().map(|event| (job.id("crash_p99_ms"), lab.time(*event))));
    samples
}

/// False deaths at 10 % loss, brought to an hour in all.
fn lossy<B: Breed>(job: &Job, breed: B) -> (super::Id, Sample) {
    let mut lab = Lab::converged(job.seed, job.members, 0.1, breed);
    lab.run(Duration::from_secs(20));
    let before = lab.world.watch.false_deaths().len();
    lab.run(LOSSY_FOR);
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let count = (lab.world.watch.false_deaths().len() - before) as f64;
    // Three worlds of two minutes stand for an hour.
    (job.id("false_deaths_loss10"), Sample::Count(count * 10.0))
}
