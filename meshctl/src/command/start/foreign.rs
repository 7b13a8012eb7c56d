//! Flags of the existing system's `start` that mean nothing here: each is an error that says what to do instead.

use anyhow::bail;
use clap::Args;

/// The flags. They are parsed so that the answer is better than "unexpected argument".
#[derive(Debug, Args)]
pub(crate) struct Foreign {
    #[arg(long, hide = true, value_name = "PATH")]
    db_path: Option<String>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    health_check_interval: Option<String>,
    #[arg(long, hide = true, value_name = "PATH")]
    pid_file: Option<String>,
    #[arg(long, hide = true)]
    secure: bool,
    #[arg(long, hide = true, value_name = "PATH")]
    cert_file: Option<String>,
    #[arg(long, hide = true, value_name = "PATH")]
    key_file: Option<String>,
    #[arg(long, hide = true)]
    tls_auto: bool,
    #[arg(long, hide = true)]
    ui: bool,
    #[arg(long, hide = true, value_name = "PORT")]
    ui_port: Option<String>,
    #[arg(long, hide = true)]
    dashboard: bool,
}

impl Foreign {
    /// Whether none of them was given.
    ///
    /// # Errors
    /// Names the first one that was, why it is of no use, and what is instead.
    pub(crate) fn refuse(&self) -> anyhow::Result<()> {
        const TLS: &str = "nodes always prove themselves to each other with keys of their own: leave it out";
        const UI: &str = "there is no dashboard yet; see meshctl list and meshctl members";
        let given = [
            ("--db-path", self.db_path.is_some(), "the mesh has no database: leave it out"),
            (
                "--health-check-interval",
                self.health_check_interval.is_some(),
                "members watch each other all the time, and a dead one is found within seconds: leave it out",
            ),
            ("--pid-file", self.pid_file.is_some(), "pid files are in pids/ of the home, named after the agent"),
            ("--secure", self.secure, TLS),
            ("--cert-file", self.cert_file.is_some(), TLS),
            ("--key-file", self.key_file.is_some(), TLS),
            ("--tls-auto", self.tls_auto, TLS),
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
