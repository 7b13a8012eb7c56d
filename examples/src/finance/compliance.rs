//! Knows the rules that accounts have to follow.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::portfolio::Portfolio;

/// What nobody may hold.
const RESTRICTED: [&str; 1] = ["SMUGGLER"];

/// Which part of an account one share may be.
const MAX_WEIGHT: f64 = 0.5;

/// Whether an account follows the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compliance {
    /// The account.
    pub account: String,
    /// Whether it follows all of them.
    pub compliant: bool,
    /// Which it does not follow, and where.
    pub findings: Vec<String>,
}

/// Checks the compliance of an account: restricted shares, and too much of one.
#[mesh::tool(capability = "compliance_check", tags = ["finance"], version = "1.0.0", idempotent, read_only)]
pub async fn check_compliance(
    /// The account.
    account: String,
    #[dep("portfolio")] portfolio: Dep<Portfolio>,
) -> Result<Compliance> {
    let held = portfolio.call(args! { account }).await?;
    let mut findings = Vec::new();
    for position in &held.positions {
        if RESTRICTED.contains(&position.symbol.as_str()) {
            findings.push(format!("{} is restricted", position.symbol));
        }
        if position.weight > MAX_WEIGHT {
            findings.push(format!("{} is {:.0} % of the account", position.symbol, position.weight * 100.0));
        }
    }
    Ok(Compliance { account, compliant: findings.is_empty(), findings })
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("compliance-agent").description("Knows the rules").tool::<check_compliance>()
}
