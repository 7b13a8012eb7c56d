//! The end of `start` without `-d`: show what the agents say, and stop them when this ends.

use std::io;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::bail;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::detach::{died, too_late};
use super::plan::{Plan, Wait};
use crate::book::{Book, Entry, SEED};
use crate::ending::{self, Dependants};
use crate::follow::{self, Follower};
use crate::home::Home;
use crate::launch::{self, Launched};
use crate::log_file::LogFile;
use crate::output::{self, Colour, paint};
use crate::process::Ending;
use crate::progress::Progress;
use crate::ready::{Prober, Readiness};
use crate::seed::Seed;
use crate::watch;

/// Colours that tell agents apart.
const COLOURS: &[Colour] = &[Colour::Cyan, Colour::Green, Colour::Yellow, Colour::Grey];

/// Shows the logs until all agents have ended, or a signal says that they shall; stops what is left and the seed, if it was
/// started here and nobody else needs it.
///
/// # Errors
/// When a log cannot be read, or something cannot be stopped.
pub(crate) async fn stay(
    plan: &Plan,
    home: &Home,
    mut launched: Vec<Launched>,
    seed: Option<Seed>,
    progress: Progress,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let entries: Vec<Entry> = launched.iter().map(|one| one.entry.clone()).collect();
    let seed_is_ours = matches!(seed, Some(Seed::Started(_)));
    if let (true, Some(Seed::Started(seed))) = (launched.is_empty(), seed) {
        launched.push(*seed);
    }
    if launched.is_empty() {
        output::say(format_args!("'{SEED}' is running already"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut logs = Logs::of(home, &launched);
    let prober = Prober::new()?;
    let prober = &prober;
    let mut waits: FuturesUnordered<_> =
        plan.launches
            .iter()
            .zip(&entries)
            .map(|(launch, entry)| async move {
                (launch, prober.wait(&launch.home(home), entry, plan.patience(launch)).await)
            })
            .collect();
    let mut children: FuturesUnordered<_> =
        launched.into_iter().map(|mut one| async move { (one.entry, one.child.wait().await) }).collect();
    let watched = plan.launches.iter().filter(|_| plan.watch);
    let mut watchers: FuturesUnordered<_> = watched.map(|launch| watch::keep(home, launch)).collect();
    let mut failed = false;
    let mut look = interval(follow::LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    progress.at("waiting until all can be called");
    let mut progress = Some(progress);
    // What has ended is told of by its wait as well, which may come after its child.
    while !(children.is_empty() && watchers.is_empty() && waits.is_empty()) {
        tokio::select! {
            () = signals.next() => break,
            Some((launch, state)) = waits.next() => {
                failed |= state == Readiness::Ended && !plan.watch;
                if state == Readiness::Running && matches!(plan.wait, Wait::Must(_)) {
                    output::complain(&too_late(&launch.name));
                    failed = true;
                    break;
                }
                if waits.is_empty() {
                    progress = None;
                    if !plan.quiet && !failed {
                        output::say("Agents are running. Press Ctrl+C to stop all services.");
                    }
                }
                if state == Readiness::Ended {
                    logs.show()?;
                    output::complain(&died(home, &launch.name));
                }
            }
            Some((entry, ended)) = children.next() => {
                logs.show()?;
                failed |= !plan.watch && !ended.as_ref().is_ok_and(ExitStatus::success);
                if !plan.quiet {
                    output::say(format_args!("'{}' has ended: {}", entry.name, words(&ended)));
                }
            }
            Some(ended) = watchers.next() => {
                ended?;
                if watchers.is_empty() {
                    break;
                }
            }
            _ = look.tick() => logs.show()?,
        }
    }
    drop((waits, watchers, progress));
    end(home, seed_is_ours, plan.shutdown).await?;
    logs.show()?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Ends what this process started and is still there.
///
/// # Errors
/// Names what does not go.
pub(crate) async fn end(home: &Home, seed_is_ours: bool, patience: Duration) -> anyhow::Result<()> {
    let here = |entry: &Entry| launch::is_from_here(&entry.mark) && entry.name != SEED;
    let entries: Vec<Entry> = Book::of(home).entries().into_iter().filter(here).collect();
    let how = Ending::Polite(patience);
    let mut left = Vec::new();
    for (name, ended) in ending::end_all(home, &entries, how).await {
        if let Err(error) = ended {
            left.push(format!("{name}: {error}"));
        }
    }
    if seed_is_ours {
        ending::end_seed(home, how, Dependants::Spare).await?;
    }
    if left.is_empty() { Ok(()) } else { bail!("not all could be stopped: {}", left.join("; ")) }
}

fn words(ended: &io::Result<ExitStatus>) -> String {
    ended.as_ref().map_or_else(ToString::to_string, ToString::to_string)
}

/// The logs of all that runs, each line with its name before it.
struct Logs(Vec<(String, Follower)>);

impl Logs {
    fn of(home: &Home, launched: &[Launched]) -> Self {
        let width = launched.iter().map(|one| one.entry.name.len()).max().unwrap_or_default();
        let log = |(place, one): (usize, &Launched)| {
            let name = &one.entry.name;
            let prefix = paint(COLOURS[place % COLOURS.len()], format_args!("[{name:<width$}]"));
            (prefix, Follower::from_start(LogFile::of(home, name).path(0)))
        };
        Self(launched.iter().enumerate().map(log).collect())
    }

    fn show(&mut self) -> anyhow::Result<()> {
        for (prefix, log) in &mut self.0 {
            for line in log.lines()? {
                output::say(format_args!("{prefix} {line}"));
            }
        }
        Ok(())
    }
}

/// What tells a program in the foreground to stop.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    }
}
