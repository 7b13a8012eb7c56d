//! Knows what accounts hold, and works out what that is worth.

use futures::future::try_join_all;
use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::market::Quote;

/// Accounts, and how many shares of what they hold.
const ACCOUNTS: [(&str, &[(&str, u32)]); 2] = [
    ("prudent", &[("FERRY", 100), ("HARBOUR", 50), ("LIGHTHOUSE", 350)]),
    ("bold", &[("FERRY", 20), ("SMUGGLER", 900)]),
];

/// What an account holds of a share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// The share.
    pub symbol: String,
    /// How many.
    pub shares: u32,
    /// What they are worth, in US dollars.
    pub worth_usd: f64,
    /// Which part of the account that is, from 0 to 1.
    pub weight: f64,
}

/// What an account holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Portfolio {
    /// The account.
    pub account: String,
    /// What it holds.
    pub positions: Vec<Position>,
    /// What all of it is worth, in US dollars.
    pub total_usd: f64,
}

/// Gets what an account holds, and what that is worth today.
#[mesh::tool(capability = "portfolio", tags = ["finance"], version = "1.0.0", idempotent, read_only)]
pub async fn get_portfolio(
    /// The account, such as prudent.
    account: String,
    #[dep("market_data")] market: Dep<Quote>,
) -> Result<Portfolio> {
    let Some((_, held)) = ACCOUNTS.into_iter().find(|(known, _)| *known == account) else {
        let known = ACCOUNTS.map(|(known, _)| known).join(", ");
        return Err(Error::invalid_argument(format!("there is no account {account:?}; there are {known}")));
    };
    let quotes = try_join_all(held.iter().map(|(symbol, _)| market.call(args! { symbol }))).await?;
    let worth = |(quote, (_, shares)): (&Quote, &(&str, u32))| quote.price_usd * f64::from(*shares);
    let total_usd: f64 = quotes.iter().zip(held).map(worth).sum();
    let position = |(quote, held): (&Quote, &(&str, u32))| {
        let worth_usd = worth((quote, held));
        Position { symbol: quote.symbol.clone(), shares: held.1, worth_usd, weight: worth_usd / total_usd }
    };
    let positions = quotes.iter().zip(held).map(position).collect();
    Ok(Portfolio { account, positions, total_usd })
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("portfolio-agent").description("Knows what accounts hold").tool::<get_portfolio>()
}
