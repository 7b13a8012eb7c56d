//! Processes at the other end: started, awaited, ended.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
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
pub(crate) struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// This binary in another role.
pub(crate) fn role(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("where is this binary?")?);
    command.arg("role").args(arguments);
    Ok(command)
}

/// Says to whoever started this role that it can be used, and how.
pub(crate) fn announce(how: &str) {
    println!("{READY}{how}");
}

impl Process {
    /// Starts it. Its standard error is ours.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
        let output = child.stdout.take().expect("asked for above");
        Ok(Self { child, output: BufReader::new(output).lines() })
    }

    /// Waits for the line with which a role announces itself: the rest of it.
    pub(crate) async fn ready(&mut self) -> Result<String> {
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
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells it to end, and waits for that.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        let pid = self.pid().context("a process has ended by itself")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        timeout(PATIENCE, self.child.wait()).await.context("a process did not end within a minute")??;
        Ok(())
    }

    /// Ends it without a goodbye, and waits for that.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot end a process")
    }
}
