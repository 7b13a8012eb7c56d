//! The process around an agent: runtime, log, cryptography, exit code.

use std::future::Future;
use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::Error;

/// What `main` may return.
#[diagnostic::on_unimplemented(
    message = "a program ends with `()` or a `Result<()>`, not with `{Self}`",
    note = "let `main` return `mesh::Result`"
)]
pub trait Ended {
    /// What went wrong, if something did.
    #[doc(hidden)]
    fn ended(self) -> Result<(), Error>;
}

impl Ended for () {
    fn ended(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<E: Into<Error>> Ended for Result<(), E> {
    fn ended(self) -> Result<(), Error> {
        self.map_err(Into::into)
    }
}

/// Runs `program` on a runtime of its own, as `#[mesh::main]` does: with a log, and an error as one sentence and exit
/// code 1.
pub fn run<F: Future<Output: Ended>>(program: F) -> ExitCode {
    log_to_standard_error();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return failed(&format!("no runtime: {why}")),
    };
    let ended = runtime.block_on(program).ended();
    // What blocks is not waited for: the agent has left, nobody would see the end of it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why.to_string()),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::FAILURE
}

/// `RUST_LOG` chooses in detail, else `MCP_MESH_LOG_LEVEL` the level of our own messages; others only warn.
fn log_to_standard_error() {
    let detailed = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = detailed.unwrap_or_else(|| filter_of(std::env::var("MCP_MESH_LOG_LEVEL").ok().as_deref()));
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        // It would panic where standard error is a file on a full disk.
        .log_internal_errors(false);
    // Whoever set up a log before keeps it.
    let _ = tracing_subscriber::registry().with(lines).with(targets(&filter)).try_init();
}

/// What `filter` lets through, without those of its parts that make no sense. Targets and levels are all that counts: the
/// rest of what `RUST_LOG` may say elsewhere would put regular expressions into every agent.
fn targets(filter: &str) -> Targets {
    let parts = filter.split(',').map(str::trim).filter(|part| {
        let is_sound = part.parse::<Targets>().is_ok();
        if !is_sound {
            eprintln!("RUST_LOG: `{part}` is ignored; say target=level");
        }
        is_sound
    });
    let parts: Vec<&str> = parts.collect();
    parts.join(",").parse().unwrap_or_default()
}

fn filter_of(level: Option<&str>) -> String {
    let level = match level.map(str::to_ascii_lowercase).as_deref() {
        Some(level @ ("trace" | "debug" | "info" | "error")) => level.to_owned(),
        Some("warn" | "warning") => "warn".into(),
        Some("critical") => "error".into(),
        _ => "info".into(),
    };
    match level.as_str() {
        "info" => "info,mesh_gossip=warn,rmcp=warn,quinn=warn,hyper=warn,reqwest=warn".into(),
        "trace" | "debug" => format!("{level},rmcp=info,quinn=info,hyper=info,reqwest=info,h2=info,rustls=info"),
        _ => level,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{filter_of, targets};

    #[test]
    fn what_makes_no_sense_in_a_filter_does_not_silence_the_rest() {
        let targets = targets("warn,[span{field=1}]=trace,shop=debug");
        assert!(targets.would_enable("shop::till", &Level::DEBUG));
        assert!(targets.would_enable("other", &Level::WARN) && !targets.would_enable("other", &Level::INFO));
    }

    #[test]
    fn levels_of_the_existing_system_are_understood() {
        assert_eq!(filter_of(Some("WARNING")), "warn");
        assert!(filter_of(Some("DEBUG")).starts_with("debug,"));
        assert!(filter_of(None).starts_with("info,"));
        assert!(filter_of(Some("loud")).starts_with("info,"));
    }
}
