//! Replacing an agent when its sources change: build first, and swap only when that succeeds.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use mesh_node::runtime_file::process_started;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use crate::book::{Book, Entry, Kind, watcher_of};
use crate::home::Home;
use crate::launch::{self, Launch};
use crate::log_file::LogFile;
use crate::output;
use crate::process::{Ending, MARK};
use crate::project::Project;
use crate::source::Source;

/// How long the old one may take to stop.
const STOP: Duration = Duration::from_secs(3);

/// How often it is looked whether the agent was stopped for good.
const LOOK: Duration = Duration::from_millis(500);

/// Files of these kinds are what a program is made of, or read by it.
const EXTENSIONS: &[&str] = &[
    "rs", "toml", "lock", "py", "js", "ts", "json", "yaml", "yml", "j2", "jinja2", "hbs", "md", "txt", "html", "sql",
    "proto",
];

/// Watches the sources of `launch` and replaces its process, until somebody stops it.
///
/// # Errors
/// When the sources cannot be watched, or a new process cannot be written down.
pub(crate) async fn keep(home: &Home, launch: &Launch) -> anyhow::Result<()> {
    let book = Book::of(home);
    // A change that comes while one is being dealt with is dealt with after it: one place is enough.
    let (changed, mut changes) = mpsc::channel(1);
    let sources = Sources::of(launch)?;
    let _watcher = sources.watch(changed)?;
    let debounce = seconds("MCP_MESH_RELOAD_DEBOUNCE", 0.5)?;
    let precheck = !env::var("MCP_MESH_RELOAD_PRECHECK").is_ok_and(|text| is_no(&text));
    let mut look = interval(LOOK);
    output::say(format_args!("{}: watching its sources", launch.name));
    loop {
        tokio::select! {
            _ = look.tick() => {
                if book.entry(&launch.name).is_none() {
                    return Ok(());
                }
            }
            Some(()) = changes.recv() => {
                settle(&mut changes, debounce).await;
                output::say(format_args!("{}: sources have changed", launch.name));
                match prepared(launch, precheck).await {
                    Ok(program) => replace(home, &book, launch, &program).await?,
                    Err(error) => output::say(format_args!("{}: the running one stays: {error:#}", launch.name)),
                }
            }
        }
    }
}

/// Starts a process of its own that watches `launch`, with nothing of our standard streams.
///
/// # Errors
/// When it cannot be started or written down.
pub(crate) async fn detach(home: &Home, launch: &Launch) -> anyhow::Result<()> {
    let name = watcher_of(&launch.name);
    let log = LogFile::of(home, &name).begin()?;
    let meshctl = env::current_exe().context("cannot tell which program this is")?;
    let mark = launch::fresh_mark();
    let mut command = Command::new(&meshctl);
    command.arg("watch-sources").env("MCP_MESH_HOME", home.root()).env(MARK, &mark).process_group(0);
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().context("cannot start the watcher")?;
    let pid = child.id().context("a process that was just started has no pid")?;
    let mut stdin = child.stdin.take().context("the watcher has no standard input")?;
    stdin.write_all(&serde_json::to_vec(launch)?).await.context("the watcher does not listen")?;
    stdin.shutdown().await?;
    let pid_started = process_started(pid).unwrap_or(0);
    let command = vec![meshctl.to_string_lossy().into_owned(), "watch-sources".into()];
    Book::of(home).write(&Entry { name, kind: Kind::Watcher, pid, pid_started, mark, command, started: Entry::now() })
}

/// The program and its arguments, once what has changed can be run.
async fn prepared(launch: &Launch, precheck: bool) -> anyhow::Result<Vec<String>> {
    if let Some(project) = launch.source.project().filter(|_| precheck) {
        project.check().await?;
    }
    launch.source.prepare(|_| ()).await
}

fn is_no(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off")
}

/// Waits until nothing has changed for a while: editors write in several steps.
async fn settle(changes: &mut mpsc::Receiver<()>, quiet: Duration) {
    loop {
        tokio::select! {
            more = changes.recv() => if more.is_none() { return },
            () = sleep(quiet) => return,
        }
    }
}

async fn replace(home: &Home, book: &Book, launch: &Launch, program: &[String]) -> anyhow::Result<()> {
    // Gone from the book: stopped while it was built.
    let Some(old) = book.entry(&launch.name) else { return Ok(()) };
    old.leader().end(Ending::Polite(STOP)).await?;
    match launch.spawn(home, program).await {
        Ok(mut new) => {
            output::say(format_args!("{}: replaced (pid {} by {})", launch.name, old.pid, new.entry.pid));
            // Reaped when it ends; what it said is in its log.
            tokio::spawn(async move { new.child.wait().await });
        }
        Err(error) => output::say(format_args!("{}: {error:#}", launch.name)),
    }
    Ok(())
}

/// What is watched for one launch.
struct Sources {
    folders: Vec<PathBuf>,
    counts: Counts,
}

/// Which files count.
#[derive(Clone)]
enum Counts {
    /// This one.
    Only(PathBuf),
    /// All that look like sources.
    All,
    /// Those that such a project is made of.
    Of(Project),
}

impl Sources {
    fn of(launch: &Launch) -> anyhow::Result<Self> {
        Ok(match &launch.source {
            Source::Crate(it) => Self { folders: it.sources.clone(), counts: Counts::All },
            Source::Project(it) => Self { folders: vec![it.folder().to_owned()], counts: Counts::Of(it.clone()) },
            Source::Program(path) => {
                let folder = path.parent().context("a program is in a folder")?.to_owned();
                Self { folders: vec![folder], counts: Counts::Only(path.clone()) }
            }
            Source::Command(_) | Source::Wrapped(_) | Source::Provided { .. } => {
                let folder =
                    launch.folder.clone().map_or_else(env::current_dir, Ok).context("cannot tell the folder")?;
                Self { folders: vec![folder], counts: Counts::All }
            }
        })
    }

    fn watch(&self, changed: mpsc::Sender<()>) -> anyhow::Result<RecommendedWatcher> {
        let (folders, wanted) = (self.folders.clone(), self.counts.clone());
        let heard = move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            let is_change = !matches!(event.kind, EventKind::Access(_));
            let counts = |path: &PathBuf| match &wanted {
                Counts::Only(only) => only == path,
                Counts::All => is_in(&folders, path) && EXTENSIONS.contains(&extension(path)),
                Counts::Of(project) => is_in(&folders, path) && project.is_made_of(extension(path)),
            };
            if is_change && event.paths.iter().any(counts) {
                // Full means that a change is waiting already.
                let _ = changed.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(heard).context("cannot watch files")?;
        for folder in &self.folders {
            let watched = match self.counts {
                Counts::Only(_) => watcher.watch(folder, RecursiveMode::NonRecursive),
                Counts::All | Counts::Of(_) => watch_tree(&mut watcher, folder),
            };
            watched.with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(watcher)
    }
}

/// Watches a folder and what is below it, build output and hidden folders left out: they change all the time.
fn watch_tree(watcher: &mut RecommendedWatcher, folder: &Path) -> notify::Result<()> {
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    for entry in std::fs::read_dir(folder).map_err(notify::Error::io)? {
        let entry = entry.map_err(notify::Error::io)?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !is_left_out(&entry.file_name().to_string_lossy()) {
            watcher.watch(&entry.path(), RecursiveMode::Recursive)?;
        }
    }
    Ok(())
}

fn is_left_out(name: &str) -> bool {
    name.starts_with('.') || matches!(name, "target" | "node_modules" | "__pycache__" | "venv")
}

/// Whether it is in one of the folders, and in nothing that is left out.
fn is_in(folders: &[PathBuf], path: &Path) -> bool {
    let below = folders.iter().find_map(|folder| path.strip_prefix(folder).ok());
    !below.is_some_and(|path| path.iter().any(|part| is_left_out(&part.to_string_lossy())))
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// A variable that holds seconds.
fn seconds(name: &str, usual: f64) -> anyhow::Result<Duration> {
    let text = match env::var(name) {
        Ok(text) => text,
        Err(env::VarError::NotPresent) => return Ok(Duration::from_secs_f64(usual)),
        Err(error) => return Err(io::Error::other(error)).context(name.to_owned()),
    };
    let seconds = text.trim().parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.with_context(|| format!("{name}={text} is no number of seconds"))
}
