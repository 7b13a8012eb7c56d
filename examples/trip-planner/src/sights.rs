//! Knows what there is to see, indoors when it rains.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::weather::Forecast;

/// From which chance of rain on one stays indoors, in per cent.
const RAINY: u8 = 50;

const OUTDOOR: [(&str, &str); 3] =
    [("Senso-ji Temple", "cultural"), ("Ueno Park", "nature"), ("Meiji Shrine", "cultural")];

const INDOOR: [(&str, &str); 3] =
    [("TeamLab Borderless", "art"), ("Tokyo National Museum", "museum"), ("Akihabara Arcades", "entertainment")];

/// A place to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sight {
    /// Its name.
    pub name: String,
    /// `indoor` or `outdoor`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of place it is.
    pub category: String,
    /// Where it is.
    pub location: String,
}

/// What to see, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sights {
    /// Where.
    pub location: String,
    /// What the weather will be like.
    pub weather_summary: String,
    /// Whether to stay indoors.
    pub recommendation: String,
    /// The places.
    pub pois: Vec<Sight>,
}

/// Searches points of interest at a place, as the weather allows.
#[mesh::tool(capability = "poi_search", tags = ["poi", "travel"], version = "1.0.0", idempotent, read_only)]
pub async fn search_pois(
    /// Where.
    location: String,
    #[dep("weather_forecast")] weather: Option<Dep<Forecast>>,
) -> Result<Sights> {
    let forecast = match weather {
        Some(weather) => Some(weather.call(args! { location: location.as_str(), date: "today" }).await?),
        None => None,
    };
    let sight = |kind: &str, (name, category): (&str, &str)| Sight {
        name: name.into(),
        kind: kind.into(),
        category: category.into(),
        location: location.clone(),
    };
    let outdoor = OUTDOOR.map(|place| sight("outdoor", place));
    let indoor = INDOOR.map(|place| sight("indoor", place));
    let (recommendation, pois) = match forecast.as_ref().is_some_and(|forecast| forecast.rain_chance_pct > RAINY) {
        true => (
            "Rain is likely: mostly indoor activities.",
            indoor.into_iter().chain(outdoor.into_iter().take(1)).collect(),
        ),
        false => (
            "The weather is fine: mostly outdoor activities.",
            outdoor.into_iter().chain(indoor.into_iter().take(1)).collect::<Vec<_>>(),
        ),
    };
    let weather_summary = forecast.map_or_else(|| "unknown".to_owned(), |forecast| forecast.summary);
    Ok(Sights { location, weather_summary, recommendation: recommendation.into(), pois })
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("poi-agent").description("Knows what there is to see").tool::<search_pois>()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::weather::get_weather;

    async fn names(weather: Option<Dep<Forecast>>) -> (String, Vec<String>) {
        let sights = search_pois("Tokyo".into(), weather).await.unwrap();
        (sights.weather_summary, sights.pois.into_iter().map(|sight| sight.name).collect())
    }

    #[tokio::test]
    async fn rain_sends_people_indoors() {
        let rain = |rain_chance_pct| {
            Dep::fake(move |_, _| async move {
                Ok(json!(Forecast { rain_chance_pct, ..get_weather("Tokyo".into(), "today".into()).await }))
            })
        };
        let dry = ["Senso-ji Temple", "Ueno Park", "Meiji Shrine", "TeamLab Borderless"];
        assert_eq!(names(Some(rain(50))).await.1, dry);
        let wet = ["TeamLab Borderless", "Tokyo National Museum", "Akihabara Arcades", "Senso-ji Temple"];
        assert_eq!(names(Some(rain(51))).await.1, wet);
        assert_eq!(names(None).await.0, "unknown");
    }
}
