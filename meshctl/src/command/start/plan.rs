//! What a start comes down to, worked out from flags, settings and environment before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use mesh_node::tls::authority::Owner;
use nix::unistd::{Group, User};

use super::{Start, place};
use crate::book::{self, Book, Kind, SEED};
use crate::environment;
use crate::home::Home;
use crate::launch::{Launch, Launched};
use crate::output;
use crate::progress::Progress;
use crate::project::Project;
use crate::ready::Patience;
use crate::registry::{self, Registry};
use crate::seed::{SeedOptions, Wanted};
use crate::settings::Settings;
use crate::source::Source;

/// How long what looks like an agent of ours is waited for when nobody said how long.
const USUAL_PATIENCE: Duration = Duration::from_secs(10);

/// How long an agent of another language may take until it listens: one that breaks before is told of at once.
const IMPORT_PATIENCE: Duration = Duration::from_secs(5);

/// What will be done.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What to start, replicas one by one.
    pub(crate) launches: Vec<Launch>,
    /// The seed to see to first.
    pub(crate) wanted: Wanted,
    /// How to start it.
    pub(crate) seed: SeedOptions,
    /// What agents of other languages register with.
    pub(crate) registry: Registry,
    /// How long to wait for each, and what for.
    pub(crate) wait: Wait,
    /// Whether to let go of what runs.
    pub(crate) detach: bool,
    /// Whether to replace agents whose sources change.
    pub(crate) watch: bool,
    /// Whether to say nothing.
    pub(crate) quiet: bool,
    /// Whether to say everything.
    pub(crate) verbose: bool,
    /// How long an agent may take to stop.
    pub(crate) shutdown: Duration,
}

/// How long agents are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// As suits what was started; that it is not ready is no error.
    Usual,
    /// This long; that it is not ready is an error.
    Must(Duration),
}

impl Plan {
    /// The plan for `start`.
    ///
    /// # Errors
    /// When what was asked for cannot be, or contradicts itself.
    pub(crate) async fn of(start: Start, settings: &Settings, home: &Home) -> anyhow::Result<Self> {
        let environment = environment_of(&start, settings)?;
        let told = place::seeds(&start, settings, &environment);
        let registry = place::registry(&start, settings, told.as_deref());
        let wanted = match start.connect_only {
            true if told.is_none() => {
                bail!("--connect-only needs to know where: give --seeds host:port, or --registry-url")
            }
            true => Wanted::Elsewhere,
            false => Wanted::of(told.as_deref())?,
        };
        let mut environment = environment;
        if let Some(seeds) = told {
            environment.insert("MESH_SEEDS".into(), seeds);
        }
        let startup = start.startup_timeout.unwrap_or_else(|| settings.startup_timeout());
        let mut seed = place::seed(&start, settings, &environment, startup);
        for (name, value) in &start.env {
            environment.insert(name.clone(), value.clone());
        }
        let certificates = start.secure.certificates(&environment, home)?;
        let mut launches = launches(&start, environment, home).await?;
        if let Some(certificates) = certificates {
            certificates.tell(&mut seed.environment, Owner::Seed)?;
            for launch in &mut launches {
                certificates.tell(&mut launch.environment, Owner::Agent(&launch.name))?;
            }
        }
        let wait = match (start.no_wait, start.wait) {
            (true, _) => Wait::No,
            (false, Some(bound)) => Wait::Must(bound.unwrap_or(startup)),
            (false, None) => Wait::Usual,
        };
        if launches.is_empty() && !start.registry_only && wanted == Wanted::Elsewhere {
            bail!("there is nothing to start: name an agent, or leave out what says that the seed is elsewhere");
        }
        Ok(Self {
            launches,
            wanted,
            seed,
            registry,
            wait,
            detach: start.detach || settings.enable_background,
            watch: start.watch,
            quiet: start.quiet,
            verbose: start.verbose,
            shutdown: start.shutdown_timeout.unwrap_or_else(|| settings.shutdown_timeout()),
        })
    }

    /// Tells agents of other languages where the registry is, unless they are told otherwise. Only once the seed runs.
    ///
    /// # Errors
    /// When it does not answer, with what to do.
    pub(crate) async fn tell_registry(&mut self, home: &Home) -> anyhow::Result<()> {
        let is_untold =
            |launch: &&mut Launch| launch.source.project().is_some() && !launch.environment.contains_key(registry::URL);
        let mut untold = self.launches.iter_mut().filter(is_untold).peekable();
        if untold.peek().is_none() {
            return Ok(());
        }
        let url = self.registry.url(home, self.seed.patience).await?;
        for launch in untold {
            for (name, value) in registry::variables(&url) {
                launch.environment.entry(name.to_owned()).or_insert(value);
            }
        }
        Ok(())
    }

    /// Builds what has to be built. The commands to execute, in the order of the launches.
    ///
    /// # Errors
    /// What the compiler said.
    pub(crate) async fn prepare(&self, progress: &Progress) -> anyhow::Result<Vec<Vec<String>>> {
        let mut prepared: Vec<(&Source, Vec<String>)> = Vec::new();
        let mut programs = Vec::new();
        for launch in &self.launches {
            let known =
                prepared.iter().find(|(source, _)| *source == &launch.source).map(|(_, program)| program.clone());
            let program = match known {
                Some(program) => program,
                None => {
                    progress.at(format!("preparing {}", launch.name));
                    let said = |line: &str| progress.at(format!("{}: {line}", launch.name));
                    let program = launch.source.prepare(said).await?;
                    prepared.push((&launch.source, program.clone()));
                    program
                }
            };
            programs.push(program);
        }
        Ok(programs)
    }

    /// Whether none of the names runs already.
    ///
    /// # Errors
    /// Names the first one that does.
    pub(crate) fn refuse_running(&self, book: &Book) -> anyhow::Result<()> {
        for launch in &self.launches {
            if let Some(entry) = book.entry(&launch.name).filter(book::Entry::is_running) {
                bail!(
                    "agent '{0}' is already running (pid {1}): stop it (meshctl stop {0}), or give this one another --name",
                    entry.name,
                    entry.pid
                );
            }
        }
        Ok(())
    }

    /// What is waited for with `launch`.
    pub(crate) fn patience(&self, launch: &Launch) -> Patience {
        match self.wait {
            Wait::No => Patience::Alive,
            Wait::Must(bound) if launch.source.project().is_some() => {
                let registry = launch.environment.get(registry::URL).cloned().unwrap_or_default();
                Patience::Registered(bound, registry)
            }
            Wait::Usual if launch.source.project().is_some() => Patience::Listening(IMPORT_PATIENCE),
            Wait::Must(bound) => Patience::Callable(bound),
            Wait::Usual if launch.source.is_likely_ours() => Patience::Callable(USUAL_PATIENCE),
            Wait::Usual => Patience::IfOurs(USUAL_PATIENCE),
        }
    }

    /// With `--verbose`, says what was run.
    pub(crate) fn describe(&self, launched: &[Launched]) {
        if !self.verbose {
            return;
        }
        for (launch, one) in self.launches.iter().zip(launched) {
            output::say(format_args!("{} (pid {}): {}", launch.name, one.entry.pid, one.entry.command.join(" ")));
            for (name, value) in &launch.environment {
                let value = if is_secret(name) { "(not shown)" } else { value };
                output::say(format_args!("  {name}={value}"));
            }
        }
    }
}

async fn launches(start: &Start, environment: BTreeMap<String, String>, home: &Home) -> anyhow::Result<Vec<Launch>> {
    let mut sources = Vec::new();
    let provided = start.provided.source(&start.agents, &start.wrapped, start.name.as_deref())?;
    let agents = if provided.is_some() { &[] } else { start.agents.as_slice() };
    for agent in agents {
        let mut source = Source::of(agent).await?;
        if let Source::Crate(it) = &mut source {
            it.release = start.release;
        }
        sources.push(source);
    }
    sources.extend(match provided {
        Some(provided) => Some(provided),
        None => start.wrapped.source(&start.command, start.name.as_deref())?,
    });
    if start.name.is_some() && sources.len() > 1 {
        bail!("--name names one agent, and {} were given: start them one by one", sources.len());
    }
    if let Some(folder) = start.working_dir.as_ref().filter(|folder| !folder.is_dir()) {
        bail!("path does not exist: {} (--working-dir)", folder.display());
    }
    let (user, group) = identity(start)?;
    let mut names = BTreeSet::from([SEED.to_owned()]);
    let mut launches = Vec::new();
    for source in sources {
        let name = match &start.name {
            Some(name) => name.clone(),
            None => source.name()?,
        };
        for replica in 1..=start.replicas {
            let name = if replica == 1 { name.clone() } else { format!("{name}-{replica}") };
            book::check_name(&name)?;
            if !names.insert(name.clone()) {
                bail!("two processes would be called '{name}': start one of them with another --name");
            }
            let mut environment = environment.clone();
            if let Some(project) = source.project() {
                adapt(&mut environment, project);
            }
            launches.push(Launch {
                name,
                kind: Kind::Agent,
                environment,
                unset: Vec::new(),
                folder: start.working_dir.clone().or_else(|| source.folder()),
                source: source.clone(),
                user,
                group,
            });
        }
    }
    // Agents find keys and neighbours where meshctl does, from whichever folder they run in.
    for launch in &mut launches {
        launch.environment.entry("MCP_MESH_HOME".into()).or_insert_with(|| home.root().to_string_lossy().into_owned());
    }
    Ok(launches)
}

/// Sets what such an agent needs, and spells levels as its SDK does. What is set already stays.
fn adapt(environment: &mut BTreeMap<String, String>, project: &Project) {
    for (name, value) in project.environment() {
        environment.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
    }
    if let Some(level) = environment.get_mut("MCP_MESH_LOG_LEVEL") {
        *level = match level.as_str() {
            "warn" => "WARNING".to_owned(),
            other => other.to_ascii_uppercase(),
        };
    }
}

/// What is set for agents, `--env` left out, which beats all of it.
fn environment_of(start: &Start, settings: &Settings) -> anyhow::Result<BTreeMap<String, String>> {
    let mut set = BTreeMap::new();
    let mut put = |name: &str, value: &str| drop(set.insert(name.to_owned(), value.to_owned()));
    if settings.log_level != Settings::default().log_level {
        put("MCP_MESH_LOG_LEVEL", &settings.log_level);
    }
    if settings.mesh != Settings::default().mesh {
        put("MESH_NAME", &settings.mesh);
    }
    if let Some(address) = settings.listen {
        put("MESH_LISTEN", &SocketAddr::new(address, 0).to_string());
    }
    // The port that it names is the seed's: agents beside it take free ones.
    if let Some(address) = place::address_of("MESH_LISTEN") {
        put("MESH_LISTEN", &SocketAddr::new(address.ip(), 0).to_string());
    }
    if let Some(path) = &start.env_file {
        for (name, value) in environment::file(path)? {
            put(&name, &value);
        }
    }
    if start.dte {
        put("MCP_MESH_DISTRIBUTED_TRACING_ENABLED", "true");
    }
    if start.debug || settings.debug_mode {
        put("MCP_MESH_DEBUG", "true");
        put("MCP_MESH_DEBUG_MODE", "true");
        put("MCP_MESH_LOG_LEVEL", "debug");
    }
    if let Some(level) = start.log_level {
        put("MCP_MESH_LOG_LEVEL", level);
    }
    if let Some(name) = &start.agent_name {
        put("MCP_MESH_AGENT_NAME", name);
    }
    if let Some(version) = &start.agent_version {
        put("MCP_MESH_AGENT_VERSION", version);
    }
    if !start.capabilities.is_empty() {
        put("MCP_MESH_CAPABILITIES", &start.capabilities.join(","));
    }
    Ok(set)
}

fn identity(start: &Start) -> anyhow::Result<(Option<u32>, Option<u32>)> {
    let user = match &start.user {
        None => None,
        Some(text) => match (text.parse(), User::from_name(text)) {
            (Ok(number), _) => Some((number, None)),
            (_, Ok(Some(user))) => Some((user.uid.as_raw(), Some(user.gid.as_raw()))),
            _ => bail!("there is no user {text:?} on this machine"),
        },
    };
    let group = match &start.group {
        None => None,
        Some(text) => match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                let group = Group::from_name(text).context("cannot look up groups")?;
                let Some(group) = group else { bail!("there is no group {text:?} on this machine") };
                Some(group.gid.as_raw())
            }
        },
    };
    Ok((user.map(|(user, _)| user), group.or(user.and_then(|(_, group)| group))))
}

fn is_secret(name: &str) -> bool {
    ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.to_ascii_uppercase().contains(word))
}
