//! Tries scripts.

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is said of a script.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether it does what it shall.
    pub passed: bool,
    /// What is wrong with it.
    pub remarks: Vec<String>,
    /// What it printed.
    pub output: String,
}

/// Runs a script, and judges whether it does what it shall.
#[mesh::llm(capability = "quality_assurance", tags = ["qa", "llm"], version = "1.0.0", provider("llm"),
    filter = [{ capability = "workspace", tags = ["run"] }],
    prompt = "You are QA. Run the script with the tool you have, and judge what it printed by its goal.\n\n\
        Path: {{ path }}\nGoal: {{ goal }}")]
pub async fn check_script(
    /// What it shall do.
    goal: String,
    /// Its file, relative to the workspace.
    path: String,
    llm: Llm<Verdict>,
) -> Result<Verdict> {
    tracing::debug!(goal, "checking");
    Ok(llm.ask(format!("Run the script. Path: {path}")).await?)
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("qa-agent").description("Tries scripts").tool::<check_script>()
}
