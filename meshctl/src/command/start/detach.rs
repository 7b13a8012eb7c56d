//! The end of `start -d`: wait until what was started can be called, say so, and let go of it.

use std::process::ExitCode;

use anyhow::anyhow;

use super::plan::{Plan, Wait};
use crate::book::{Book, SEED};
use crate::home::Home;
use crate::launch::{Launch, Launched};
use crate::lifecycle::Lifecycle;
use crate::log_file::LogFile;
use crate::output::{self, Colour, paint};
use crate::progress::Progress;
use crate::ready::{Prober, Readiness};
use crate::seed::Seed;
use crate::watch;

/// How many lines of the log of what died are shown.
pub(crate) const LAST_LINES: usize = 20;

/// Waits, reports, and leaves everything running.
///
/// # Errors
/// When something died, or was told to be ready and is not. The others run on.
pub(crate) async fn finish(
    plan: &Plan,
    home: &Home,
    launched: Vec<Launched>,
    seed: Option<Seed>,
    progress: Progress,
) -> anyhow::Result<ExitCode> {
    progress.at("waiting until all can be called");
    let prober = Prober::new()?;
    let waits = plan.launches.iter().zip(&launched).map(|(launch, one)| {
        let prober = &prober;
        async move { prober.wait(&launch.home(home), &one.entry, plan.patience(launch)).await }
    });
    let states = futures::future::join_all(waits).await;
    drop(progress);
    let mut failed = 0;
    let mut running = Vec::new();
    for (launch, state) in plan.launches.iter().zip(states) {
        match state {
            Readiness::Ended => {
                failed += 1;
                output::complain(&died(home, &launch.name));
            }
            Readiness::Running if matches!(plan.wait, Wait::Must(_)) => {
                failed += 1;
                running.push(launch);
                output::complain(&too_late(&launch.name));
            }
            Readiness::Running => {
                running.push(launch);
                if launch.source.is_likely_ours() && plan.wait == Wait::Usual && !plan.quiet {
                    output::say(format_args!(
                        "'{0}' runs, but cannot be called yet: see meshctl logs {0}",
                        launch.name
                    ));
                }
            }
            Readiness::Callable(_) => running.push(launch),
        }
    }
    if failed > 0 {
        let _lock = Lifecycle::hold(home).await?;
        Book::of(home).sweep();
    }
    if plan.watch {
        for launch in &running {
            watch::detach(home, launch).await?;
        }
    }
    if !plan.quiet {
        report(home, &running, seed.as_ref(), plan.launches.is_empty());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The error that `name` ended at once, with the last it said.
pub(crate) fn died(home: &Home, name: &str) -> anyhow::Error {
    let said = LogFile::of(home, name).last_lines(LAST_LINES);
    match said.is_empty() {
        true => anyhow!("agent '{name}' ended at once and said nothing"),
        false => anyhow!("agent '{name}' ended at once; its log ends with:\n{}", said.join("\n")),
    }
}

/// The error that `name` was told to be ready and is not.
pub(crate) fn too_late(name: &str) -> anyhow::Error {
    anyhow!("agent '{name}' runs, but could not be called in time: see meshctl logs {name}")
}

fn report(home: &Home, running: &[&Launch], seed: Option<&Seed>, only_seed: bool) {
    if let Some(Seed::Started(_)) = seed {
        output::say(format_args!("Started '{SEED}' in detach"));
    }
    let logs = home.logs();
    match running {
        [] => {
            if only_seed && matches!(seed, Some(Seed::Found)) {
                output::say(format_args!("'{SEED}' is running already"));
            } else if only_seed && seed.is_some() {
                output::say(format_args!("Logs: {}", LogFile::of(home, SEED).path(0).display()));
                output::say(format_args!("Use 'meshctl logs {SEED}' to view or 'meshctl stop' to stop"));
            }
        }
        [one] => {
            let name = &one.name;
            output::say(format_args!("Started '{}' in detach", paint(Colour::Cyan, name)));
            output::say(format_args!("Logs: {}", LogFile::of(home, name).path(0).display()));
            output::say(format_args!("Use 'meshctl logs {name}' to view or 'meshctl stop {name}' to stop"));
        }
        several => {
            for one in several {
                output::say(format_args!("Started '{}' in detach", paint(Colour::Cyan, &one.name)));
            }
            output::say(format_args!("Logs: {}/<agent>.log", logs.display()));
            output::say("Use 'meshctl logs <agent>' to view or 'meshctl stop' to stop all");
        }
    }
}
