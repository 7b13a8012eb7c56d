//! Knows what the traveller likes.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who travels in this example.
pub const TRAVELLER: &str = "demo-user";

/// What somebody likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preferences {
    /// Who.
    pub user_id: String,
    /// The codes of the airlines they like.
    pub preferred_airlines: Vec<String>,
    /// What a flight may cost.
    pub budget_usd: u32,
    /// What they care for.
    pub interests: Vec<String>,
    /// How good a hotel has to be, of five.
    pub hotel_min_stars: u8,
}

/// Gets the travel preferences of a user.
#[mesh::tool(capability = "user_preferences", tags = ["preferences", "travel"], version = "1.0.0", idempotent, read_only)]
pub fn get_user_prefs(
    /// Who.
    user_id: String,
) -> Preferences {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Preferences {
        user_id,
        preferred_airlines: texts(&["SQ", "MH"]),
        budget_usd: 1000,
        interests: texts(&["cultural", "food", "nature"]),
        hotel_min_stars: 3,
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("user-prefs-agent").description("Knows what travellers like").tool::<get_user_prefs>()
}
