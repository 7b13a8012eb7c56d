//! Looks at what a plan costs.

use std::fmt;

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a plan costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetAnalysis {
    /// All of it, in US dollars.
    pub total_estimated: i64,
    /// How to spend less.
    pub savings_tips: Vec<String>,
    /// What it is spent on.
    pub budget_breakdown: Vec<BudgetItem>,
}

/// What something costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetItem {
    /// What.
    pub category: String,
    /// How much, in US dollars.
    pub amount: i64,
}

/// Analyses what a plan costs, and where money can be saved.
#[mesh::llm(capability = "budget_analysis", tags = ["specialist", "budget", "llm"], version = "1.0.0",
    provider("llm"), prompt = "prompts/budget_analysis.j2", max_iterations = 1)]
pub async fn budget_analysis(
    /// Where to.
    destination: String,
    /// The plan.
    plan_summary: String,
    /// What there is to spend.
    budget: String,
    llm: Llm<BudgetAnalysis>,
) -> Result<BudgetAnalysis> {
    Ok(llm
        .ask(format!("What does this plan for {destination} cost, with a budget of {budget}?\n\n{plan_summary}"))
        .await?)
}

impl fmt::Display for BudgetAnalysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Estimated total: ${}", self.total_estimated)?;
        self.budget_breakdown.iter().try_for_each(|item| write!(f, "\n- {}: ${}", item.category, item.amount))?;
        self.savings_tips.iter().try_for_each(|tip| write!(f, "\n- Tip: {tip}"))
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("budget-analyst").description("Looks at what a plan costs").tool::<budget_analysis>()
}
