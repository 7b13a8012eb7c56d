//! Models of LLM vendors: `start provider` runs each as an agent, by `meshctl provider`.

use anyhow::{Context, bail};
use clap::Args;
use mesh_providers::ModelName;

use super::wrapped::Wrapped;
use crate::command::provider::parameter;
use crate::source::Source;

/// The word that means a provider rather than a folder.
const WORD: &str = "provider";

/// Which model, and how it is asked.
#[derive(Debug, Args)]
pub(crate) struct Provided {
    /// With `start provider`: the model, such as anthropic/claude-sonnet-4-5, openai/gpt-4o-mini, ollama/llama3, or local.
    #[arg(long, value_name = "VENDOR/MODEL")]
    pub(crate) model: Option<String>,
    /// With --model: where the vendor's API is. Default: its own address, or `ANTHROPIC_BASE_URL` and its like.
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) base_url: Option<String>,
    /// With --model: the variable that holds the key. Default: `ANTHROPIC_API_KEY` and its like.
    #[arg(long, value_name = "NAME", requires = "model")]
    pub(crate) key_variable: Option<String>,
    /// With --model: a parameter that counts where requests do not say it. Repeatable.
    #[arg(long, value_name = "NAME=VALUE", requires = "model")]
    pub(crate) param: Vec<String>,
}

impl Provided {
    /// What to start when `agents` are the word `provider`, as the agent called `name`.
    ///
    /// # Errors
    /// When the model is missing, or none.
    pub(crate) fn source(
        &self,
        agents: &[String],
        wrapped: &Wrapped,
        name: Option<&str>,
    ) -> anyhow::Result<Option<Source>> {
        let is_meant = matches!(agents, [word] if word == WORD);
        let Some(model) = &self.model else {
            if is_meant && !std::path::Path::new(WORD).exists() {
                bail!("which model shall it provide? Say --model anthropic/claude-sonnet-4-5, or --model local");
            }
            return Ok(None);
        };
        if !is_meant {
            bail!("--model is for providers: meshctl start provider --model {model}");
        }
        let known: ModelName = model.parse().context("--model")?;
        let name = name.map_or_else(|| format!("{}-provider", known.vendor.prefix()), str::to_owned);
        let mut words = Vec::new();
        let mut flag = |flag: &str, value: &str| words.push(format!("--{flag}={value}"));
        flag("name", &name);
        flag("model", model);
        if let Some(capability) = &wrapped.capability {
            flag("capability", capability);
        }
        for tag in &wrapped.tags {
            flag("tags", tag);
        }
        if let Some(url) = &self.base_url {
            flag("base-url", url);
        }
        if let Some(variable) = &self.key_variable {
            flag("key-variable", variable);
        }
        for param in &self.param {
            parameter(param)?;
            flag("param", param);
        }
        Ok(Some(Source::Provided { name, words }))
    }
}
