//! Finds hotels.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A hotel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hotel {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub destination: String,
    /// From which day.
    pub checkin: String,
    /// To which day.
    pub checkout: String,
    /// How good it is, of five.
    pub stars: u8,
    /// What a night costs.
    pub price_per_night_usd: u32,
    /// What it has.
    pub amenities: Vec<String>,
}

/// Searches hotels at a destination.
#[mesh::tool(capability = "hotel_search", tags = ["hotels", "travel"], version = "1.0.0", idempotent, read_only)]
pub async fn hotel_search(
    /// Where.
    destination: String,
    /// From which day.
    checkin: String,
    /// To which day.
    checkout: String,
) -> Vec<Hotel> {
    let hotel = |name: &str, stars, price_per_night_usd, amenities: &[&str]| Hotel {
        name: name.into(),
        destination: destination.clone(),
        checkin: checkin.clone(),
        checkout: checkout.clone(),
        stars,
        price_per_night_usd,
        amenities: amenities.iter().map(|it| (*it).to_owned()).collect(),
    };
    vec![
        hotel("Grand Hyatt", 5, 320, &["pool", "spa", "gym"]),
        hotel("Sakura Inn", 3, 95, &["wifi", "breakfast"]),
        hotel("Capsule Stay", 2, 45, &["wifi"]),
    ]
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("hotel-agent").description("Finds hotels").tool::<hotel_search>()
}
