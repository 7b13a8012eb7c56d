//! Models: Anthropic's and OpenAI's where their keys are set, the local demonstration model in their place otherwise.

use mesh::prelude::*;
use mesh_providers::Provider;

/// Names a model that both shall provide, whatever keys are set: `local`, for a demonstration. They tell theirs apart.
pub const MODEL_VARIABLE: &str = "TRIP_PLANNER_MODEL";

/// The agent that provides Anthropic's model.
///
/// # Errors
/// When it cannot be asked as the environment says.
pub fn claude() -> Result<Agent> {
    provider("claude-provider", &["claude"], "anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY")
}

/// The agent that provides OpenAI's model.
///
/// # Errors
/// When it cannot be asked as the environment says.
pub fn openai() -> Result<Agent> {
    provider("openai-provider", &["openai", "gpt"], "openai/gpt-4o-mini", "OPENAI_API_KEY")
}

fn provider(name: &str, tags: &[&str], model: &str, key: &str) -> Result<Agent> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let local = format!("local/{}", tags[0]);
    let model = match (set(MODEL_VARIABLE), set(key)) {
        (Some(chosen), _) if chosen == "local" => local,
        (Some(chosen), _) => chosen,
        (None, Some(_)) => model.to_owned(),
        (None, None) => {
            tracing::info!("{name} provides the local demonstration model: set {key} for {model}");
            local
        }
    };
    Ok(Provider::new(model).name(name).tags(tags.iter().copied()).agent()?)
}
