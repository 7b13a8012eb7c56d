//! Knows the weather, which is always the same.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Where.
    pub location: String,
    /// On which day.
    pub date: String,
    /// In a word.
    pub condition: String,
    /// The highest temperature.
    pub high_c: i8,
    /// The lowest temperature.
    pub low_c: i8,
    /// How likely it rains.
    pub rain_chance_pct: u8,
    /// In a sentence.
    pub summary: String,
}

/// Gets the weather forecast for a place on a date.
#[mesh::tool(capability = "weather_forecast", tags = ["weather", "travel"], version = "1.0.0", idempotent, read_only)]
pub async fn get_weather(
    /// Where.
    location: String,
    /// On which day.
    date: String,
) -> Forecast {
    let summary = format!("Partly cloudy in {location} on {date}: 19 to 28 °C, 30% chance of rain");
    Forecast { location, date, condition: "partly_cloudy".into(), high_c: 28, low_c: 19, rain_chance_pct: 30, summary }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("weather-agent").description("Knows the weather").tool::<get_weather>()
}
