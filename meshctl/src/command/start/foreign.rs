//! Flags of the existing system's `start`: those that the seed is told, and those that mean nothing here, which are errors
//! that say what to do instead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::duration;

/// The flags. They are parsed so that the answer is better than "unexpected argument".
#[derive(Debug, Args)]
pub(crate) struct Foreign {
    /// Where the seed keeps events and schemas of its registry, when it is started here. Default: below its home.
    #[arg(long, value_name = "PATH")]
    db_path: Option<PathBuf>,
    /// How often the seed that is started here looks which agents of other languages have fallen silent. Default: 10 s.
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    health_check_interval: Option<Duration>,
    #[arg(long, hide = true, value_name = "PATH")]
    pid_file: Option<String>,
    #[arg(long, hide = true)]
    ui: bool,
    #[arg(long, hide = true, value_name = "PORT")]
    ui_port: Option<String>,
    #[arg(long, hide = true)]
    dashboard: bool,
}

impl Foreign {
    /// Adds what the seed is told to its environment.
    pub(crate) fn tell_seed(&self, environment: &mut BTreeMap<String, String>) {
        let mut tell = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                environment.insert(name.to_owned(), value);
            }
        };
        tell("HEALTH_CHECK_INTERVAL", self.health_check_interval.map(|interval| interval.as_secs().max(1).to_string()));
        let path = self.db_path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        tell("MESH_REGISTRY_DB", path.map(|path| path.to_string_lossy().into_owned()));
    }

    /// Whether none of them was given.
    ///
    /// # Errors
    /// Names the first one that was, why it is of no use, and what is instead.
    pub(crate) fn refuse(&self) -> anyhow::Result<()> {
        const UI: &str = "there is no dashboard yet; see meshctl list and meshctl members";
        let given = [
            ("--pid-file", self.pid_file.is_some(), "pid files are in pids/ of the home, named after the agent"),
            ("--ui", self.ui, UI),
            ("--ui-port", self.ui_port.is_some(), UI),
            ("--dashboard", self.dashboard, UI),
        ];
        match given.iter().find(|(_, given, _)| *given) {
            Some((flag, _, why)) => bail!("{flag} has no meaning here: {why}"),
            None => Ok(()),
        }
    }
}
