//! Knows what shares cost, which is made up.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shares and their last closing prices in US dollars, the newest last.
const CLOSES: [(&str, [f64; 10]); 4] = [
    ("FERRY", [40.0, 40.8, 40.2, 41.1, 41.9, 41.4, 42.3, 41.7, 42.6, 43.0]),
    ("HARBOUR", [88.0, 87.2, 88.9, 88.1, 86.5, 87.9, 88.4, 87.0, 86.1, 85.6]),
    ("LIGHTHOUSE", [12.0, 12.0, 12.1, 12.1, 12.0, 12.1, 12.2, 12.1, 12.2, 12.2]),
    ("SMUGGLER", [5.0, 5.9, 4.8, 5.6, 6.4, 5.2, 6.1, 7.0, 5.8, 6.6]),
];

/// What a share costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// The share.
    pub symbol: String,
    /// What it costs, in US dollars.
    pub price_usd: f64,
    /// What it cost on the last days, today last.
    pub closes_usd: Vec<f64>,
}

/// Gets what a share costs, and what it cost on the last ten days.
#[mesh::tool(capability = "market_data", tags = ["finance"], version = "1.0.0", idempotent, read_only)]
pub fn get_quote(
    /// The share, such as FERRY.
    symbol: String,
) -> Result<Quote> {
    let Some((_, closes)) = CLOSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&symbol)) else {
        let known = CLOSES.map(|(known, _)| known).join(", ");
        return Err(Error::invalid_argument(format!("there is no share {symbol:?}; there are {known}")));
    };
    Ok(Quote { symbol: symbol.to_uppercase(), price_usd: closes[closes.len() - 1], closes_usd: closes.to_vec() })
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("market-data-agent").description("Knows what shares cost").tool::<get_quote>()
}
