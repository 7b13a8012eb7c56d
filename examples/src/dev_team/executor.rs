//! Keeps the workspace: files are written, read and run there and nowhere else. See [`confined`](super::confined).

use std::path::PathBuf;

use mesh::{State, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::confined::Workspace;
use super::developer::Written;

/// Names the folder of the workspace; a new one among the system's temporary files without it.
pub const WORKSPACE_VARIABLE: &str = "DEV_TEAM_WORKSPACE";

/// The most bytes of a file.
const MAX_FILE_BYTES: usize = 1 << 20;

/// What came of running something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Whether it ended well.
    pub passed: bool,
    /// Its exit code; none when it was ended by a signal, or took too long.
    pub exit_code: Option<i32>,
    /// What it printed, to both of its outputs, cut where it is too long.
    pub output: String,
}

/// Writes a file of the workspace.
#[mesh::tool(capability = "workspace", tags = ["executor", "files"], version = "1.0.0")]
pub async fn write_file(
    /// Relative to the workspace.
    path: String,
    /// All of it.
    content: String,
    workspace: State<Workspace>,
) -> Result<Written> {
    if content.len() > MAX_FILE_BYTES {
        return Err(Error::invalid_argument(format!("a file has at most {MAX_FILE_BYTES} bytes")));
    }
    let script = r#"mkdir -p -- "$(dirname -- "./$1")" && cat > "./$1""#;
    let run = workspace.run(&["sh", "-c", script, "sh", &path], content.as_bytes()).await?;
    done(run)?;
    Ok(Written { path, bytes: content.len() })
}

/// Reads a file of the workspace.
#[mesh::tool(capability = "workspace", tags = ["executor", "files"], version = "1.0.0", idempotent, read_only)]
pub async fn read_file(
    /// Relative to the workspace.
    path: String,
    workspace: State<Workspace>,
) -> Result<String> {
    done(workspace.run(&["cat", "--", &format!("./{path}")], b"").await?)
}

/// Runs a script of the workspace with `sh`.
#[mesh::tool(capability = "workspace", tags = ["executor", "run"], version = "1.0.0")]
pub async fn run_script(
    /// Relative to the workspace.
    path: String,
    workspace: State<Workspace>,
) -> Result<Run> {
    workspace.run(&["sh", "--", &format!("./{path}")], b"").await
}

fn done(run: Run) -> Result<String> {
    match run.passed {
        true => Ok(run.output),
        false => Err(Error::invalid_argument(run.output)),
    }
}

/// The agent.
///
/// # Errors
/// When its folder cannot be made, or the kernel cannot confine anything.
pub fn agent() -> Result<Agent> {
    let named = std::env::var_os(WORKSPACE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| std::env::temp_dir().join(format!("dev-team-{}", std::process::id())));
    let workspace = Workspace::open(&folder)?;
    tracing::info!(folder = %folder.display(), "the workspace");
    let agent = Agent::new("executor-agent").description("Runs scripts where they can do no harm");
    Ok(agent.tool::<write_file>().tool::<read_file>().tool::<run_script>().state(workspace))
}
