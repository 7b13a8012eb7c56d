//! Understands what somebody wants, and has the others do it.

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::developer::Written;
use super::tester::Verdict;

/// How often the developer may try.
const ROUNDS: u32 = 3;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// What the script shall do, in a sentence or two.
    pub goal: String,
    /// The script's file, relative to the workspace.
    #[schemars(example = "script.sh")]
    pub path: String,
}

/// What became of a wish.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// How the wish was understood.
    pub task: Task,
    /// What was written.
    pub written: Written,
    /// What QA says of it.
    pub verdict: Verdict,
    /// How often the developer tried.
    pub rounds: u32,
}

/// Has a script developed: understood, written, and tried until QA is content.
#[mesh::llm(capability = "software_request", tags = ["intent", "llm"], version = "1.0.0", provider("llm"),
    prompt = "You turn wishes into tasks for a developer of shell scripts.\n\nWish: {{ wish }}")]
pub async fn develop_script(
    /// What is wanted.
    wish: String,
    #[dep("development")] developer: Dep<Written>,
    #[dep("quality_assurance")] tester: Dep<Verdict>,
    llm: Llm<Task>,
) -> Result<Outcome> {
    let task = llm.ask(wish.as_str()).await?;
    let mut remarks = String::new();
    let mut rounds = 0;
    loop {
        rounds += 1;
        let written = developer.call(args! { goal: task.goal, path: task.path, remarks }).await?;
        let verdict = tester.call(args! { goal: task.goal, path: task.path }).await?;
        if verdict.passed || rounds == ROUNDS {
            return Ok(Outcome { task, written, verdict, rounds });
        }
        remarks = verdict.remarks.join("\n");
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("intent-agent").description("Has scripts developed").tool::<develop_script>()
}
