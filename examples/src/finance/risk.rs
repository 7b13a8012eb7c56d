//! Works out how much an account may lose.

use futures::future::try_join_all;
use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::market::Quote;
use super::portfolio::Portfolio;

/// How much an account may lose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Risk {
    /// The account.
    pub account: String,
    /// The most that it would have lost on one of the last days, in US dollars, held as it is now.
    pub worst_day_usd: f64,
    /// The standard deviation of its days, in per cent of its worth.
    pub volatility_pct: f64,
}

/// Assesses the risk of an account: what it would have gained or lost on the last days, held as it is now.
#[mesh::tool(capability = "risk_assessment", tags = ["finance"], version = "1.0.0", idempotent, read_only)]
pub async fn assess_risk(
    /// The account.
    account: String,
    #[dep("portfolio")] portfolio: Dep<Portfolio>,
    #[dep("market_data")] market: Dep<Quote>,
) -> Result<Risk> {
    let held = portfolio.call(args! { account }).await?;
    let quotes = held.positions.iter().map(|position| market.call(args! { symbol: position.symbol }));
    let quotes = try_join_all(quotes).await?;
    let days = quotes.iter().map(|quote| quote.closes_usd.len()).min().unwrap_or_default();
    let gains: Vec<f64> = (1..days).map(|day| gain(&held, &quotes, day)).collect();
    let worst_day_usd = -gains.iter().copied().fold(0.0, f64::min);
    Ok(Risk { account, worst_day_usd, volatility_pct: deviation(&gains) / held.total_usd * 100.0 })
}

/// What the account would have gained on `day`: what the change of each share makes of what is held of it now.
fn gain(held: &Portfolio, quotes: &[Quote], day: usize) -> f64 {
    let gains = held.positions.iter().zip(quotes);
    gains.map(|(position, quote)| position.worth_usd * (quote.closes_usd[day] / quote.closes_usd[day - 1] - 1.0)).sum()
}

fn deviation(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("risk-agent").description("Works out how much accounts may lose").tool::<assess_risk>()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_worst_day_is_worked_out_of_what_is_held_now() {
        let position = json!({ "symbol": "FERRY", "shares": 10, "worth_usd": 1000.0, "weight": 1.0 });
        let held = json!({ "account": "a", "positions": [position], "total_usd": 1000.0 });
        let portfolio = Dep::fake(move |_, _| std::future::ready(Ok(held.clone())));
        let quote = json!({ "symbol": "FERRY", "price_usd": 99.0, "closes_usd": [100.0, 110.0, 99.0] });
        let market = Dep::fake(move |_, _| std::future::ready(Ok(quote.clone())));
        let risk = assess_risk("a".into(), portfolio, market).await.unwrap();
        // Ten per cent up, then ten per cent down.
        assert!((risk.worst_day_usd - 100.0).abs() < 1e-9 && (risk.volatility_pct - 10.0).abs() < 1e-9, "{risk:?}");
    }
}
