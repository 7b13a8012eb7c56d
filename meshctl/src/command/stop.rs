//! `meshctl stop`.

use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;

use crate::book::{Book, Entry, Kind, SEED};
use crate::duration;
use crate::ending::{self, Dependants, SeedEnd};
use crate::home::Home;
use crate::output;
use crate::process::Ending;
use crate::ready;
use crate::suggest;

/// What to stop.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Exact names; none stops everything.
    names: Vec<String>,
    /// Stop the seed only, whoever needs it.
    #[arg(long, visible_alias = "seed", conflicts_with_all = ["agents", "names", "clean", "keep_registry"])]
    registry: bool,
    /// Stop agents only.
    #[arg(long, conflicts_with_all = ["names", "clean"])]
    agents: bool,
    /// Leave the seed running.
    #[arg(long, visible_alias = "keep-seed", conflicts_with = "clean")]
    keep_registry: bool,
    /// Remove logs and bookkeeping as well; keys and settings stay.
    #[arg(long, conflicts_with = "names")]
    clean: bool,
    /// How long an agent may take before it is killed.
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = duration::parse)]
    timeout: Duration,
    /// Kill at once.
    #[arg(long)]
    force: bool,
    /// Say nothing unless something is wrong.
    #[arg(long)]
    quiet: bool,
    #[arg(long, hide = true)]
    ui: bool,
    #[arg(long, hide = true)]
    keep_ui: bool,
}

impl Stop {
    /// Stops it and returns when all of it is gone.
    ///
    /// # Errors
    /// When a name is unknown, or something does not go.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        for (flag, given) in [("--ui", self.ui), ("--keep-ui", self.keep_ui)] {
            if given {
                bail!("{flag} has no meaning here: there is no dashboard to stop or keep");
            }
        }
        let home = Home::of_user()?;
        let book = Book::of(&home);
        if self.registry {
            let ended = ending::end_seed(&home, self.how(), Dependants::Ignore).await?;
            self.report_seed(&ended);
            return Ok(ExitCode::SUCCESS);
        }
        let (agents, names_seed) = self.chosen(&home, &book)?;
        let failed = self.end_agents(&home, &agents).await;
        let seed = if names_seed {
            ending::end_seed(&home, self.how(), Dependants::Ignore).await?
        } else if self.agents || self.keep_registry {
            SeedEnd::None
        } else {
            ending::end_seed(&home, self.how(), Dependants::Spare).await?
        };
        self.report_seed(&seed);
        if agents.is_empty() && seed == SeedEnd::None && !self.clean {
            self.say("No agents running in background");
        }
        if failed > 0 {
            return Ok(ExitCode::FAILURE);
        }
        if self.clean {
            let cleaned = clean(&home)?;
            self.say(if cleaned { "Cleanup complete" } else { "  Nothing to clean" });
        }
        Ok(ExitCode::SUCCESS)
    }

    const fn how(&self) -> Ending {
        if self.force { Ending::Forced } else { Ending::Polite(self.timeout) }
    }

    fn say(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            output::say(text);
        }
    }

    /// The agents that are meant, and whether the seed is meant by name.
    fn chosen(&self, home: &Home, book: &Book) -> anyhow::Result<(Vec<Entry>, bool)> {
        let runs = |entry: &Entry| entry.kind == Kind::Agent && entry.leader().group_runs();
        let running: Vec<Entry> = book.entries().into_iter().filter(runs).collect();
        if self.names.is_empty() {
            return Ok((running, false));
        }
        let mut chosen: Vec<Entry> = Vec::new();
        let mut names_seed = false;
        for name in &self.names {
            if name == SEED || name == "registry" {
                if !book.entry(SEED).is_some_and(|seed| seed.leader().group_runs()) {
                    bail!("the seed is not running");
                }
                names_seed = true;
                continue;
            }
            let named = named(home, &running, name);
            if named.is_empty() {
                let near = suggest::near(name, running.iter().map(|entry| entry.name.as_str()));
                return Err(match near.is_empty() {
                    true => anyhow!("agent '{name}' is not running"),
                    false => anyhow!("agent '{name}' is not running. Did you mean: {}?", near.join(", ")),
                });
            }
            chosen.extend(named.into_iter().filter(|entry| !chosen.contains(entry)).collect::<Vec<_>>());
        }
        Ok((chosen, names_seed))
    }

    /// Ends them and says so; how many did not go.
    async fn end_agents(&self, home: &Home, agents: &[Entry]) -> usize {
        if agents.len() > 1 {
            self.say(format_args!("Stopping {} agent(s) in parallel...", agents.len()));
        }
        let mut failed = 0;
        for (name, ended) in ending::end_all(home, agents, self.how()).await {
            match ended {
                Ok(()) => self.say(format_args!("Agent '{name}' stopped")),
                Err(error) => {
                    failed += 1;
                    output::complain(&anyhow!(error).context(format!("agent '{name}' could not be stopped")));
                }
            }
        }
        match failed {
            0 if agents.len() > 1 => self.say(format_args!("Stopped {} agent(s)", agents.len())),
            0 => {}
            _ => self.say(format_args!("Stopped {} agent(s), {failed} failed", agents.len() - failed)),
        }
        failed
    }

    fn report_seed(&self, seed: &SeedEnd) {
        match seed {
            SeedEnd::None if self.registry => self.say("No seed running in background"),
            SeedEnd::None => {}
            SeedEnd::Stopped => self.say("Seed stopped"),
            SeedEnd::Kept(agents) => self.say(format_args!("Keeping the seed for {}", agents.join(", "))),
        }
    }
}

/// The process of that exact name, else those whose agent has it.
fn named(home: &Home, running: &[Entry], name: &str) -> Vec<Entry> {
    if let Some(entry) = running.iter().find(|entry| entry.name == name) {
        return vec![entry.clone()];
    }
    let is_agent = |entry: &&Entry| {
        ready::nodes_of(home.root(), entry).iter().any(|node| node.name == name || node.agent_id == name)
    };
    running.iter().filter(is_agent).cloned().collect()
}

/// Removes logs, bookkeeping and run-time files of nodes that are gone. Whether there was anything.
fn clean(home: &Home) -> anyhow::Result<bool> {
    let mut removed = false;
    for folder in [home.logs(), home.pids(), home.run()] {
        match fs::remove_dir_all(&folder) {
            Ok(()) => removed = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(anyhow!(error).context(format!("cannot remove {}", folder.display()))),
        }
    }
    Ok(removed)
}
