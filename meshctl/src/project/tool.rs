//! Programs of others: where one is, and what it says.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::timeout;

/// How long one may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the program is that a shell would run.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Runs it in `folder` to its end, within `bound`.
///
/// # Errors
/// When it cannot be run, or takes longer.
pub(super) async fn run(program: &Path, arguments: &[&str], folder: &Path, bound: Duration) -> anyhow::Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let shown = program.display();
    match timeout(bound, command.output()).await {
        Ok(ran) => ran.with_context(|| format!("cannot run {shown}")),
        Err(_) => bail!("{shown} {} did not end within {bound:?}", arguments.join(" ")),
    }
}

/// What it writes, on either stream, when asked with `arguments`; nothing when it cannot.
pub(super) async fn says(program: &Path, arguments: &[&str]) -> Option<String> {
    let output =
        run(program, arguments, Path::new("/"), PATIENCE).await.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
