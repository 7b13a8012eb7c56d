//! The command line of the simulations: scenario × seeds, to a table, JSON, a page.

mod cli;

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mesh_simulations::bench::{self, Effort};
use mesh_simulations::execute::{Subject, execute, side_by_side};
use mesh_simulations::outcome::Outcome;
use mesh_simulations::report::{html, table};
use mesh_simulations::run::Progress;
use mesh_simulations::scenario::{LIBRARY, Refused, Scenario};

use cli::{Bench, Cli, Command, Peer, Run};

/// What was expected held.
const HELD: u8 = 0;
/// Something expected did not hold.
const FAILED: u8 = 1;
/// The arguments or the scenario are wrong.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Command::List => Ok(list()),
        Command::Check { scenario } => load(&scenario).map(|found| {
            for scenario in found {
                println!("{} is in order: {} members, {:?}", scenario.name, scenario.members, scenario.runs_for);
            }
            HELD
        }),
        Command::Run(run) => carry_out(&run),
        Command::Bench(effort) => measure(&effort),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        WRONG
    }))
}

fn list() -> u8 {
    for shipped in LIBRARY {
        match Scenario::parse(shipped.name, shipped.toml) {
            Ok(scenario) => println!("{:<18} {}", shipped.name, scenario.about),
            Err(refused) => println!("{:<18} {refused}", shipped.name),
        }
    }
    HELD
}

/// The scenarios that a name or a file stands for.
fn load(name: &str) -> Result<Vec<Scenario>> {
    let shipped = |name: &str, toml: &str| Scenario::parse(&format!("scenarios/{name}.toml"), toml);
    if name == "all" {
        return Ok(LIBRARY.iter().map(|it| shipped(it.name, it.toml)).collect::<Result<_, Refused>>()?);
    }
    if let Some(it) = LIBRARY.iter().find(|it| it.name == name) {
        return Ok(vec![shipped(it.name, it.toml)?]);
    }
    if !Path::new(name).exists() {
        let names: Vec<_> = LIBRARY.iter().map(|it| it.name).collect();
        anyhow::bail!("there is no file and no shipped scenario `{name}`; shipped are: {}", names.join(", "));
    }
    let toml = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    Ok(vec![Scenario::parse(name, &toml)?])
}

fn carry_out(run: &Run) -> Result<u8> {
    let mut scenarios = load(&run.scenario)?;
    if let Some(members) = run.members {
        scenarios = scenarios.into_iter().map(|scenario| scenario.with_members(members)).collect();
    }
    let subject = match run.peer {
        Peer::Mesh => Subject::Mesh,
        Peer::Plain => Subject::Plain,
        Peer::Foca => Subject::Foca,
        Peer::Chitchat => Subject::Chitchat,
    };
    let jobs: Vec<(&Scenario, u64)> = scenarios
        .iter()
        .flat_map(|scenario| (run.seed..run.seed.saturating_add(run.seeds)).map(move |seed| (scenario, seed)))
        .collect();
    let bars = Bars::new();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes = side_by_side(workers, jobs.len(), |index| {
        let (scenario, seed) = jobs[index];
        execute(scenario, seed, subject, &mut bars.bar(scenario, seed))
    });
    let outcomes = outcomes.into_iter().collect::<std::io::Result<Vec<Outcome>>>()?;
    write_reports(run, &scenarios, &outcomes)?;
    if run.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    } else {
        print!("{}", table::table(&outcomes));
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.holds()).collect();
    for outcome in &failed {
        let scenario = if scenarios.len() == 1 { &run.scenario } else { &outcome.scenario };
        eprintln!("see it again: {}", command(scenario, outcome.seed, 1, run));
    }
    Ok(if failed.is_empty() { HELD } else { FAILED })
}

/// Measures and writes the figures. A missed bar is a finding, not a failure of the bench; the table says so.
fn measure(effort: &Bench) -> Result<u8> {
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(1));
    let progress = |done: usize, of: usize| match &bar {
        Some(bar) => {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        }
        None => eprintln!("{done} of {of} worlds"),
    };
    let wanted = Effort { only: effort.only.clone(), quick: effort.quick, workers: effort.workers };
    let figures = bench::measure(&wanted, &progress)?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    if figures.is_empty() {
        anyhow::bail!("no figure's id begins with {}", effort.only.join(" or "));
    }
    let json = bench::write(&figures, &effort.out).with_context(|| format!("cannot write {}", effort.out.display()))?;
    if effort.json {
        print!("{json}");
    } else {
        print!("{}", bench::table(&figures));
    }
    eprintln!("wrote {}", effort.out.display());
    Ok(HELD)
}

fn write_reports(run: &Run, scenarios: &[Scenario], outcomes: &[Outcome]) -> Result<()> {
    let about: Vec<_> = scenarios.iter().map(|scenario| (scenario.name.clone(), scenario.about.clone())).collect();
    let page = || html::page(outcomes, &about, &command(&run.scenario, run.seed, run.seeds, run));
    let write = |path: &Path, text: String| -> Result<()> {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
        Ok(())
    };
    if let Some(path) = &run.html {
        write(path, page())?;
    }
    if let Some(folder) = &run.out {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write(&folder.join("report.html"), page())?;
        write(&folder.join("report.json"), serde_json::to_string_pretty(outcomes)?)?;
    }
    Ok(())
}

/// The command that runs the same again.
fn command(scenario: &str, seed: u64, seeds: u64, run: &Run) -> String {
    let mut command = format!("simulations run {scenario} --seed {seed}");
    if seeds > 1 {
        command.push_str(&format!(" --seeds {seeds}"));
    }
    if let Some(members) = run.members {
        command.push_str(&format!(" --members {members}"));
    }
    match run.peer {
        Peer::Mesh => {}
        Peer::Plain => command.push_str(" --peer plain"),
        Peer::Foca => command.push_str(" --peer foca"),
        Peer::Chitchat => command.push_str(" --peer chitchat"),
    }
    command
}

/// Progress bars on standard error, if somebody is looking at it.
struct Bars {
    all: Option<MultiProgress>,
    style: ProgressStyle,
    /// Held while a bar is added, so that bars of two threads do not mix.
    adding: Mutex<()>,
}

impl Bars {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{prefix:>24} {wide_bar} {percent:>3}% {eta:>4}");
        Self {
            all: std::io::stderr().is_terminal().then(MultiProgress::new),
            style: style.unwrap_or_else(|_| ProgressStyle::default_bar()),
            adding: Mutex::new(()),
        }
    }

    fn bar(&self, scenario: &Scenario, seed: u64) -> Bar {
        let _turn = self.adding.lock();
        let length = u64::try_from(scenario.runs_for.as_millis()).unwrap_or(u64::MAX);
        Bar(self.all.as_ref().map(|all| {
            let bar = all.add(ProgressBar::new(length).with_style(self.style.clone()));
            bar.set_prefix(format!("{} {seed}", scenario.name));
            bar
        }))
    }
}

struct Bar(Option<ProgressBar>);

impl Progress for Bar {
    fn at(&mut self, passed: Duration) {
        if let Some(bar) = &self.0 {
            bar.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
