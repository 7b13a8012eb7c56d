//! Puts a plan into days.

use std::fmt;

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A plan, day by day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogisticsPlan {
    /// The days.
    pub daily_schedule: Vec<DayPlan>,
    /// How to get around.
    pub transit_tips: Vec<String>,
    /// How to lose no time.
    pub time_optimization: String,
}

/// A day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DayPlan {
    /// Which, from 1.
    pub day: i64,
    /// What to do.
    pub activities: Vec<String>,
}

/// Plans the days of a trip, and how to get around.
#[mesh::llm(capability = "logistics_planning", tags = ["specialist", "logistics", "llm"], version = "1.0.0",
    provider("llm"), prompt = "prompts/logistics_planning.j2", max_iterations = 1)]
pub async fn logistics_planning(
    /// Where to.
    destination: String,
    /// The plan.
    plan_summary: String,
    /// When.
    dates: String,
    llm: Llm<LogisticsPlan>,
) -> Result<LogisticsPlan> {
    Ok(llm.ask(format!("Put this plan for {destination}, {dates}, into days:\n\n{plan_summary}")).await?)
}

impl fmt::Display for LogisticsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for DayPlan { day, activities } in &self.daily_schedule {
            writeln!(f, "- Day {day}: {}", activities.join("; "))?;
        }
        self.transit_tips.iter().try_for_each(|tip| writeln!(f, "- Transit: {tip}"))?;
        write!(f, "- Time: {}", self.time_optimization)
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("logistics-planner").description("Puts a plan into days").tool::<logistics_planning>()
}
