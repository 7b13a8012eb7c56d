//! The child process of a wrapped server, with everything that it starts itself.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::Server;

/// How long a server may take to notice that its input ended, and again that it was sent SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// A longer line of standard error is logged in pieces.
const LINE_BYTES: u64 = 4096;

/// A process group of our own. Dropping it kills the group.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    /// Starts the command. Nothing is started for a server that is at an URL.
    pub(super) fn spawn(name: &Arc<str>, server: &Server) -> io::Result<Option<(Self, ChildStdout, ChildStdin)>> {
        let Server::Command { program, arguments, environment, directory } = server else { return Ok(None) };
        let mut command = Command::new(program);
        command.args(arguments).envs(environment).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        if let Some(stderr) = stderr {
            // Ends when the last process of the group closes its end.
            tokio::spawn(log(Arc::clone(name), stderr));
        }
        let process = Self { child, group };
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => Ok(Some((process, stdout, stdin))),
            _ => Err(io::Error::other("the child has no standard input or output")),
        }
    }

    /// Waits until the child is gone. Dropping the future changes nothing.
    pub(super) async fn exited(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("cannot be waited for: {error}"),
        }
    }

    /// Ends the group, whose standard input has been closed: waits, asks, and kills.
    pub(super) async fn end(mut self) {
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGTERM);
            // What does not listen is killed when this is dropped.
            let _ = timeout(GRACE, self.child.wait()).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may be gone, which is what we want.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "exited".to_owned(),
    }
}

async fn log(name: Arc<str>, stderr: ChildStderr) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(1..) => tracing::info!(agent = %name, "{}", String::from_utf8_lossy(line.trim_ascii_end())),
            Ok(0) | Err(_) => return,
        }
    }
}
