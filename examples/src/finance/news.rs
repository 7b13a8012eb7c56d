//! Knows what is written about shares, which is made up.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::portfolio::Portfolio;

const HEADLINES: [(&str, &str, Mood); 4] = [
    ("FERRY", "A second ferry is put on the winter line", Mood::Good),
    ("HARBOUR", "Harbour dues frozen for another year", Mood::Bad),
    ("LIGHTHOUSE", "The lighthouse is still there", Mood::Neutral),
    ("SMUGGLER", "Customs have questions", Mood::Bad),
];

/// What a headline means for a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mood {
    /// It may rise.
    Good,
    /// Nothing.
    Neutral,
    /// It may fall.
    Bad,
}

/// What is written about a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Headline {
    /// The share.
    pub symbol: String,
    /// In a line.
    pub title: String,
    /// What it means.
    pub mood: Mood,
}

/// Gets the headlines about the shares of an account.
#[mesh::tool(capability = "financial_news", tags = ["finance"], version = "1.0.0", idempotent, read_only)]
pub async fn get_news(
    /// The account.
    account: String,
    #[dep("portfolio")] portfolio: Dep<Portfolio>,
) -> Result<Vec<Headline>> {
    let held = portfolio.call(args! { account }).await?;
    let is_held = |symbol: &str| held.positions.iter().any(|position| position.symbol == symbol);
    let headline =
        |(symbol, title, mood): (&str, &str, Mood)| Headline { symbol: symbol.into(), title: title.into(), mood };
    Ok(HEADLINES.into_iter().filter(|(symbol, ..)| is_held(symbol)).map(headline).collect())
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("news-agent").description("Knows what is written about shares").tool::<get_news>()
}
