//! Knows what few others do.

use std::fmt;

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What few others do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdventureAdvice {
    /// What there is only here.
    pub unique_experiences: Vec<Experience>,
    /// Where those go who live here.
    pub local_gems: Vec<String>,
    /// Where nobody goes.
    pub off_beaten_path: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Experience {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Why it is worth it.
    pub why_special: String,
}

/// Recommends experiences that a plan lacks.
#[mesh::llm(capability = "adventure_advice", tags = ["specialist", "adventure", "llm"], version = "1.0.0",
    provider("llm"), prompt = "prompts/adventure_advice.j2", max_iterations = 1)]
pub async fn adventure_advice(
    /// Where to.
    destination: String,
    /// The plan.
    plan_summary: String,
    llm: Llm<AdventureAdvice>,
) -> Result<AdventureAdvice> {
    Ok(llm.ask(format!("What should this plan for {destination} not miss?\n\n{plan_summary}")).await?)
}

impl fmt::Display for AdventureAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Experience { name, description, why_special } in &self.unique_experiences {
            writeln!(f, "- {name}: {description} ({why_special})")?;
        }
        self.local_gems.iter().try_for_each(|gem| writeln!(f, "- Local gem: {gem}"))?;
        write!(f, "- Off the beaten path: {}", self.off_beaten_path)
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("adventure-advisor").description("Knows what few others do").tool::<adventure_advice>()
}
