//! Writes scripts.

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A script as a model writes it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Script {
    /// All of it; `sh` runs it, in the workspace, without a network.
    #[schemars(example = "#!/bin/sh\necho \"Hello from a script\"\n")]
    pub source: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// The file, relative to the workspace.
    pub path: String,
    /// Its size in bytes.
    pub bytes: usize,
}

/// Writes a script into the workspace.
#[mesh::llm(capability = "development", tags = ["developer", "llm"], version = "1.0.0", provider("llm"),
    prompt = "You develop shell scripts. Goal: {{ goal }}{% if remarks %}\nThis was wrong before: {{ remarks }}{% endif %}")]
pub async fn write_script(
    /// What it shall do.
    goal: String,
    /// Its file, relative to the workspace.
    path: String,
    /// What was wrong with it before.
    #[default("")]
    remarks: String,
    #[dep("workspace")] workspace: Dep<Written>,
    llm: Llm<Script>,
) -> Result<Written> {
    tracing::debug!(goal, remarks, "writing");
    let script = llm.ask(format!("Write the script {path}.")).await?;
    Ok(workspace.call_tool("write_file", args! { path, content: script.source }).await?)
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("developer-agent").description("Writes scripts").tool::<write_script>()
}
