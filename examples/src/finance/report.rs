//! Reports on accounts.

use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What there is to say about an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The account.
    pub account: String,
    /// What all of it is worth, in US dollars.
    pub total_usd: f64,
    /// What it may lose on a day, in US dollars.
    pub worst_day_usd: f64,
    /// Whether it follows the rules.
    pub compliant: bool,
    /// What to do, and why.
    pub advice: String,
}

/// Writes a report on an account: its worth, its risk, the rules, the news, and what to do.
#[mesh::llm(capability = "account_report", tags = ["finance", "llm"], version = "1.0.0",
    provider("llm", tags = ["+claude"]),
    filter = ["portfolio", "risk_assessment", "compliance_check", "financial_news"],
    prompt = "You report on accounts. Get the portfolio, assess its risk, check its compliance and read the news with \
        the tools you have, all at once, and say only what they say.\n\nAccount: {{ account }}")]
pub async fn write_report(
    /// The account, such as prudent.
    account: String,
    llm: Llm<Report>,
) -> Result<Report> {
    Ok(llm.ask(format!("Report on the account.\nAccount: {account}")).await?)
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("report-agent").description("Reports on accounts").tool::<write_report>()
}
