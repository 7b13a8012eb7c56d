//! Processes at the other end: started, awaited, ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a process may take until it says that it is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a role prints before what others need to know about it.
const READY: &str = "ready ";

/// A process that ends with this handle at the latest.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// This binary in another role.
///
/// # Errors
/// When the system does not say where this binary is.
pub fn role(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("where is this binary?")?);
    command.arg("role").args(arguments);
    Ok(command)
}

/// A program that was built beside this one.
///
/// # Errors
/// When it is not there.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().unwrap_or(Path::new(".")).join(name);
    ensure!(path.exists(), "{} is not built: `make` with the name of the bench builds it", path.display());
    Ok(path)
}

/// Milliseconds of the wall clock, which all processes of a machine share.
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}

/// Megabytes of a process that are in RAM.
///
/// # Errors
/// When it is gone.
pub fn resident_mb(pid: u32) -> Result<f64> {
    megabytes(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The same, with what several processes share, such as their program, divided among them: added up, it is what they take
/// together.
///
/// # Errors
/// When it is gone.
pub fn proportional_mb(pid: u32) -> Result<f64> {
    megabytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn megabytes(file: &str, field: &str) -> Result<f64> {
    let told = fs::read_to_string(file)?;
    let line = told.lines().find_map(|line| line.strip_prefix(field));
    let line = line.with_context(|| format!("{file} says nothing of {field}"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}

/// Says to whoever started this role that it can be used, and how.
pub fn announce(how: &str) {
    println!("{READY}{how}");
}

impl Process {
    /// Starts it. Its standard error is ours, unless the command says otherwise.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
        let output = child.stdout.take().expect("asked for above");
        Ok(Self { child, output: BufReader::new(output).lines() })
    }

    /// Waits for the line with which a role announces itself: the rest of it.
    ///
    /// # Errors
    /// When it ends instead, or says nothing for a minute.
    pub async fn ready(&mut self) -> Result<String> {
        let line = async {
            while let Some(line) = self.output.next_line().await? {
                if let Some(how) = line.strip_prefix(READY) {
                    return Ok(how.to_owned());
                }
            }
            bail!("a process ended before it was ready")
        };
        timeout(PATIENCE, line).await.context("a process was not ready within a minute")?
    }

    /// Its number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells it to end, and waits for that.
    ///
    /// # Errors
    /// When it has ended already, or does not within a minute.
    pub async fn terminate(&mut self) -> Result<()> {
        let pid = self.pid().context("a process has ended by itself")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        timeout(PATIENCE, self.child.wait()).await.context("a process did not end within a minute")??;
        Ok(())
    }

    /// Ends it without a goodbye, and waits for that.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot end a process")
    }
}
