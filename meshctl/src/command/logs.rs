//! `meshctl logs`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio::time::interval;

use crate::book::Book;
use crate::book::SEED;
use crate::follow::{self, Follower};
use crate::home::Home;
use crate::log_file::{self, KEPT, LogFile};
use crate::output::{self, Colour, paint};
use crate::ready;
use crate::suggest;
use crate::timestamp;

/// What the names of watchers end in.
const WATCHER: &str = ".watcher";

/// The most that is read of one log file: the end of it.
const MAX_BYTES: u64 = 256 << 20;

/// Whose log, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The process; `seed` for the seed.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Go on with what is added, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// How many lines from the end; 0 for all, with --follow for none.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "LINES")]
    tail: usize,
    /// The log of the start before this one (1), or an older one; 0 is the current one.
    #[arg(short, long, default_value_t = 0, value_name = "N", num_args = 0..=1, default_missing_value = "1", conflicts_with = "follow")]
    previous: usize,
    /// Lines from this time on: `5m`, `2d`, `2026-01-31 14:30`, `14:30`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Lines before this time.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// List what has logs.
    #[arg(long)]
    list: bool,
    #[arg(long, hide = true)]
    timestamps: bool,
}

impl Logs {
    /// Prints what was asked for.
    ///
    /// # Errors
    /// When there is no such log, or it cannot be read.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.timestamps {
            bail!("--timestamps has no meaning here: agents write the time on their lines themselves");
        }
        let home = Home::of_user()?;
        if self.list {
            list(&home);
            return Ok(ExitCode::SUCCESS);
        }
        let name = name_of(&home, self.name.as_deref().unwrap_or_default())?;
        let log = LogFile::of(&home, &name);
        if self.previous >= KEPT {
            bail!("--previous goes up to {}: older logs are gone", KEPT - 1);
        }
        // Before the past is printed, so that nothing gets lost between it and the future.
        let mut follower = self.follow.then(|| Follower::from_end(log.path(0)));
        if !(self.follow && self.tail == 0) {
            self.print_past(&log, &name)?;
        }
        let mut look = interval(follow::LOOK);
        while let Some(follower) = &mut follower {
            look.tick().await;
            for line in follower.lines().context("cannot read the log")? {
                output::say(line);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print_past(&self, log: &LogFile, name: &str) -> anyhow::Result<()> {
        let path = log.path(self.previous);
        let text = match log_file::tail(&path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let which =
                    if self.previous == 0 { "no log".to_owned() } else { format!("no log number {}", self.previous) };
                bail!("'{name}' has {which}: see meshctl logs --list")
            }
            Err(error) => return Err(anyhow!(error).context(format!("cannot read {}", path.display()))),
        };
        let lines = self.between(text.lines(), begun(&path));
        let count = if self.tail == 0 { lines.len() } else { self.tail };
        for line in &lines[lines.len().saturating_sub(count)..] {
            output::say(line);
        }
        Ok(())
    }

    /// The lines of the time asked for. One without a time stamp belongs to the one before it, or to when the log `begun`.
    fn between<'a>(&self, lines: impl Iterator<Item = &'a str>, begun: Option<Timestamp>) -> Vec<&'a str> {
        if self.since.is_none() && self.until.is_none() {
            return lines.collect();
        }
        let zone = TimeZone::system();
        let mut last = begun;
        let fits = |line: &&str| {
            last = timestamp::of_line(line, &zone).or(last);
            match last {
                Some(time) => {
                    self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
                }
                None => self.since.is_none(),
            }
        };
        lines.filter(fits).collect()
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    timestamp::parse(text, &Zoned::now())
}

/// When a log was begun, where the file system knows.
fn begun(path: &Path) -> Option<Timestamp> {
    path.metadata().and_then(|metadata| metadata.created()).ok().and_then(|time| Timestamp::try_from(time).ok())
}

fn list(home: &Home) {
    let logs = log_file::all(home);
    if logs.is_empty() {
        output::say("No agent logs found");
        return;
    }
    output::say("Available agent logs:");
    for (name, size, older) in logs {
        let current = size.map_or_else(|| "no current one".to_owned(), |bytes| format!("current: {}", in_units(bytes)));
        let older = if older == 0 { String::new() } else { format!(", {older} previous") };
        output::say(format_args!("  {} ({current}){older}", paint(Colour::Cyan, name)));
    }
}

fn in_units(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{kib:.1} KB"),
        _ => format!("{:.1} MB", kib / 1024.0),
    }
}

/// The log that `name` means: that of a process of this name, else of the process whose agent is called so, else of the
/// only process whose name begins so. Watchers have to be named in full.
fn name_of(home: &Home, name: &str) -> anyhow::Result<String> {
    let logs = log_file::all(home);
    if logs.iter().any(|(log, ..)| log == name) {
        return Ok(name.to_owned());
    }
    if name == "registry" {
        return Ok(SEED.to_owned());
    }
    let of_agent = Book::of(home).entries().into_iter().find(|entry| {
        ready::nodes_of(home.root(), entry).iter().any(|node| node.name == name || node.agent_id == name)
    });
    if let Some(entry) = of_agent {
        return Ok(entry.name);
    }
    let wanted = name.to_lowercase();
    let begins = |log: &&str| log.to_lowercase().starts_with(&wanted) && !log.ends_with(WATCHER);
    let begun: Vec<&str> = logs.iter().map(|(log, ..)| log.as_str()).filter(begins).collect();
    match begun[..] {
        [] => {}
        [log] => return Ok(log.to_owned()),
        _ => {
            bail!("multiple logs match '{name}':{}", begun.iter().map(|log| format!("\n  - {log}")).collect::<String>())
        }
    }
    let near = suggest::near(name, logs.iter().map(|(log, ..)| log.as_str()));
    match near.is_empty() {
        true => bail!("'{name}' has no logs: see meshctl logs --list"),
        false => bail!("'{name}' has no logs. Did you mean: {}?", near.join(", ")),
    }
}
