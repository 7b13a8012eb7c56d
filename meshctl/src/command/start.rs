//! `meshctl start`.

mod detach;
mod foreground;
mod foreign;
mod place;
mod plan;
mod provided;
mod secure;
pub(crate) mod wrapped;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::foreign::Foreign;
use self::plan::Plan;
use self::provided::Provided;
use self::secure::Secure;
use self::wrapped::Wrapped;
use crate::book::Book;
use crate::duration;
use crate::environment;
use crate::home::Home;
use crate::lifecycle::Lifecycle;
use crate::progress::Progress;
use crate::seed::{self, Seed};
use crate::settings::{self, Settings};

/// What to start, and how.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Crate folders (`folder`, or `folder:binary` when it has several), programs, agents in Python, TypeScript and Java
    /// (`agent.py`, `folder`, `pom.xml`); or `provider`, with --model.
    pub(crate) agents: Vec<String>,
    /// Any other command. With --capability, --tags or --wrap it is an MCP server that joins the mesh; else an agent.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// What to call the process in `stop` and `logs`. Default: the program's name. The agent keeps its own, which replicas
    /// share.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How many to start of each; the second is called `<name>-2`.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100), value_name = "N")]
    pub(crate) replicas: u16,
    /// Run in the background, and return once what was started can be called.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Build again when sources change, and replace the running agent when that succeeds.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Build crates with optimisations.
    #[arg(long)]
    pub(crate) release: bool,
    /// A variable of the agents' environment; beats everything else.
    #[arg(long, value_name = "NAME=VALUE", value_parser = environment::argument)]
    pub(crate) env: Vec<(String, String)>,
    /// A file of such variables, a line each.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// First contacts, `host:port` by comma. Default: the seed of this machine.
    #[arg(long, value_name = "HOST:PORT,…", conflicts_with_all = ["registry_url", "registry_host"])]
    pub(crate) seeds: Option<String>,
    /// What stands before the `-` of the agent's id, in place of its name.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent_name: Option<String>,
    /// The agent's version.
    #[arg(long, value_name = "VERSION")]
    pub(crate) agent_version: Option<String>,
    /// Told to the agent as MCP_MESH_CAPABILITIES; agents of ours offer what their code says.
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) capabilities: Vec<String>,
    /// The folder it runs in. Default: that of the crate, else this one.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) working_dir: Option<PathBuf>,
    /// As whom it runs: a name or a number.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// As which group it runs: a name or a number.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Sets MCP_MESH_DEBUG and MCP_MESH_DEBUG_MODE, and logs at level debug.
    #[arg(long)]
    pub(crate) debug: bool,
    /// What agents log: TRACE, DEBUG, INFO, WARN or ERROR.
    #[arg(long, value_name = "LEVEL", value_parser = settings::log_level)]
    pub(crate) log_level: Option<&'static str>,
    /// Say which commands are run, and what is set for them.
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Say nothing unless something is wrong.
    #[arg(long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Sets MCP_MESH_DISTRIBUTED_TRACING_ENABLED.
    #[arg(long)]
    pub(crate) dte: bool,
    /// Fail unless all can be called within this time. Default of the time: --startup-timeout.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = duration::parse)]
    pub(crate) wait: Option<Option<Duration>>,
    /// Return as soon as the processes run.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// How long the seed, and with --wait an agent, may take.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) startup_timeout: Option<Duration>,
    /// How long an agent may take to stop, when this meshctl stops it.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) shutdown_timeout: Option<Duration>,
    /// Start a seed and nothing else.
    #[arg(long, visible_alias = "seed-only", conflicts_with_all = ["agents", "command", "connect_only"])]
    pub(crate) registry_only: bool,
    /// Start no seed: there is one elsewhere.
    #[arg(long)]
    pub(crate) connect_only: bool,
    /// A seed's URL, which agents in other languages are told. Its host is the first contact of ours, at the gossip port;
    /// on this machine the port is the seed's HTTP port. Also MCP_MESH_REGISTRY_URL.
    #[arg(long, value_name = "URL")]
    pub(crate) registry_url: Option<String>,
    /// A seed's host.
    #[arg(long, value_name = "HOST")]
    pub(crate) registry_host: Option<String>,
    /// The HTTP port of the seed, whose registry agents in other languages use. Also MCP_MESH_REGISTRY_PORT.
    #[arg(long, value_name = "PORT")]
    pub(crate) registry_port: Option<u16>,
    /// http, or https where the seed, or something in front of it, speaks TLS.
    #[arg(long, value_name = "SCHEME", default_value = "http", value_parser = ["http", "https"])]
    pub(crate) registry_scheme: String,
    #[command(flatten)]
    pub(crate) wrapped: Wrapped,
    #[command(flatten)]
    pub(crate) provided: Provided,
    #[command(flatten)]
    pub(crate) secure: Secure,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
}

impl Start {
    /// Starts what was asked for; stays with it unless `--detach` was given.
    ///
    /// # Errors
    /// When something does not start. With several, the others run on.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        self.foreign.refuse()?;
        let home = Home::of_user()?;
        let settings = Settings::load(&home)?;
        let mut plan = Plan::of(self, &settings, &home).await?;
        let progress = Progress::new(plan.quiet);
        let programs = plan.prepare(&progress).await?;
        let lock = Lifecycle::hold(&home).await?;
        let book = Book::of(&home);
        book.sweep();
        plan.refuse_running(&book)?;
        progress.at("seed");
        let seed = seed::ensure(&lock, &home, &plan.wanted, &plan.seed).await?;
        let told = plan.tell_registry(&home).await;
        if let Err(error) = told {
            drop(lock);
            return undo(&home, seed.as_ref(), error).await;
        }
        let mut launched = Vec::new();
        for (launch, program) in plan.launches.iter().zip(&programs) {
            progress.at(format!("starting {}", launch.name));
            match launch.spawn(&home, program).await {
                Ok(one) => launched.push(one),
                Err(error) => {
                    drop(lock);
                    drop(launched);
                    return undo(&home, seed.as_ref(), error.context(launch.name.clone())).await;
                }
            }
        }
        drop(lock);
        plan.describe(&launched);
        match plan.detach {
            true => detach::finish(&plan, &home, launched, seed, progress).await,
            false => foreground::stay(&plan, &home, launched, seed, progress).await,
        }
    }
}

/// Ends what was started before `error`, and gives that.
async fn undo(home: &Home, seed: Option<&Seed>, error: anyhow::Error) -> anyhow::Result<ExitCode> {
    foreground::end(home, matches!(seed, Some(Seed::Started(_))), Duration::from_secs(3)).await?;
    Err(error)
}
