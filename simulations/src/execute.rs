//! Runs scenarios on threads of their own: each seed a world, worlds side by side, outcomes in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mesh_gossip::config::Config;

use crate::baseline::{ChitchatBreed, FocaBreed};
use crate::entropy::on_fresh_thread;
use crate::mesh::{Courier, Mesh};
use crate::outcome::{Outcome, Verdict};
use crate::run::{Progress, run};
use crate::scenario::Scenario;
use crate::scenario::text::Preset;

/// What may run in a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// Our own core.
    #[default]
    Mesh,
    /// Our own core without Lifeguard and the confirm round.
    Plain,
    /// foca, LAN preset.
    Foca,
    /// chitchat alone.
    Chitchat,
}

/// The core's parameters by name.
pub fn config(preset: Preset) -> Config {
    match preset {
        Preset::Local => Config::local(),
        Preset::Lan => Config::lan(),
        Preset::Wan => Config::wan(),
        Preset::Sim => Config::sim(),
    }
}

/// Runs a scenario with one seed. The same arguments give the same outcome, whatever else runs beside it.
///
/// # Errors
/// What the operating system says when it refuses a runtime for chitchat.
pub fn execute(
    scenario: &Scenario,
    seed: u64,
    subject: Subject,
    progress: &mut (dyn Progress + Send),
) -> std::io::Result<Outcome> {
    let mut outcome = one(scenario, seed, subject, progress)?;
    if let (Some(comparison), Subject::Mesh) = (scenario.compare, subject) {
        let plain = one(scenario, seed, Subject::Plain, progress)?;
        outcome.verdicts.push(Verdict {
            expected: format!("plain SWIM takes healthy members for dead {} times or more", comparison.plain_at_least),
            found: plain.false_deaths.to_string(),
            holds: plain.false_deaths >= comparison.plain_at_least,
        });
        outcome.verdicts.push(Verdict {
            expected: format!("ours at most one in {} of that", comparison.ours_at_most_one_in),
            found: outcome.false_deaths.to_string(),
            holds: outcome.false_deaths * comparison.ours_at_most_one_in <= plain.false_deaths,
        });
    }
    Ok(outcome)
}

fn one(
    scenario: &Scenario,
    seed: u64,
    subject: Subject,
    progress: &mut (dyn Progress + Send),
) -> std::io::Result<Outcome> {
    on_fresh_thread(seed, move || {
        let courier = if scenario.courier { Courier::Runs } else { Courier::Missing };
        let config = config(scenario.preset);
        let mesh = |config| {
            let mesh = Mesh::new(seed, config, scenario.records, courier)?;
            Ok::<_, std::io::Error>(mesh.with_providers(scenario.providers.clone()))
        };
        Ok(match subject {
            Subject::Mesh => run(scenario, seed, mesh(config)?, progress),
            Subject::Plain => run(scenario, seed, mesh(config.plain())?, progress),
            Subject::Foca => run(scenario, seed, FocaBreed { seed, size: scenario.most_members() }, progress),
            Subject::Chitchat => run(scenario, seed, ChitchatBreed::new(scenario.records)?, progress),
        })
    })
}

/// Does jobs 0 to `jobs` − 1 on as many threads as `workers`, and gives their results in order.
///
/// # Panics
/// When a job does.
pub fn side_by_side<T: Send>(workers: usize, jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<T>>> = Mutex::new((0..jobs).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= jobs {
                        return;
                    }
                    let result = job(index);
                    results.lock().expect("no job panics with the results in hand")[index] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("no job panics with the results in hand");
    results.into_iter().map(|result| result.expect("every job was done")).collect()
}
