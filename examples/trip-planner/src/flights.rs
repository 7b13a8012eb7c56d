//! Finds flights that the traveller can pay, on the airlines that they like first.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preferences::{Preferences, TRAVELLER};

/// What flights may cost when nobody knows the traveller.
const NO_LIMIT: u32 = 10_000;

/// A flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flight {
    /// The code of its airline.
    pub carrier: String,
    /// Its number.
    pub flight: String,
    /// From where.
    pub origin: String,
    /// To where.
    pub destination: String,
    /// On which day.
    pub date: String,
    /// When it leaves.
    pub depart: String,
    /// When it arrives.
    pub arrive: String,
    /// What it costs.
    pub price_usd: u32,
}

/// Searches flights between two places on a date, within the traveller's budget.
#[mesh::tool(capability = "flight_search", tags = ["flights", "travel"], version = "1.0.0", idempotent, read_only)]
pub async fn flight_search(
    /// From where.
    origin: String,
    /// To where.
    destination: String,
    /// On which day.
    date: String,
    #[dep("user_preferences")] preferences: Option<Dep<Preferences>>,
) -> Result<Vec<Flight>> {
    let preferences = match preferences {
        Some(preferences) => Some(preferences.call(args! { user_id: TRAVELLER }).await?),
        None => None,
    };
    let limit = preferences.as_ref().map_or(NO_LIMIT, |known| known.budget_usd);
    let preferred = preferences.map(|known| known.preferred_airlines).unwrap_or_default();
    let flight = |carrier: &str, flight: &str, depart: &str, arrive: &str, price_usd| Flight {
        carrier: carrier.into(),
        flight: flight.into(),
        origin: origin.clone(),
        destination: destination.clone(),
        date: date.clone(),
        depart: depart.into(),
        arrive: arrive.into(),
        price_usd,
    };
    let mut flights = vec![
        flight("MH", "MH007", "09:15", "14:40", 842),
        flight("SQ", "SQ017", "11:50", "17:05", 901),
        flight("AA", "AA100", "14:30", "20:15", 1150),
    ];
    flights.retain(|flight| flight.price_usd <= limit);
    flights.sort_by_key(|flight| !preferred.contains(&flight.carrier));
    Ok(flights)
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("flight-agent").description("Finds flights").tool::<flight_search>()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::preferences::get_user_prefs;

    async fn numbers(preferences: Option<Dep<Preferences>>) -> Vec<String> {
        let flights = flight_search("KUL".into(), "NRT".into(), "2026-06-01".into(), preferences).await.unwrap();
        flights.into_iter().map(|flight| flight.flight).collect()
    }

    #[tokio::test]
    async fn flights_keep_to_the_budget_and_liked_airlines_come_first() {
        assert_eq!(numbers(None).await, ["MH007", "SQ017", "AA100"]);
        let known = Dep::fake(|_, _| async { Ok(json!(get_user_prefs("demo-user".into()))) });
        assert_eq!(numbers(Some(known)).await, ["MH007", "SQ017"]);
        let rich = Dep::fake(|_, _| async {
            let liked = vec!["AA".to_owned()];
            Ok(json!(Preferences { budget_usd: 5000, preferred_airlines: liked, ..get_user_prefs("x".into()) }))
        });
        assert_eq!(numbers(Some(rich)).await, ["AA100", "MH007", "SQ017"]);
    }
}
