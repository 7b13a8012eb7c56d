//! `meshctl provider`: a model of an LLM vendor as an agent. `start provider` runs it.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use mesh_providers::Provider as Model;
use serde_json::Value;

use super::seed::log_to_stderr;

/// The model, and what it is in the mesh.
#[derive(Debug, Args)]
pub(crate) struct Provider {
    /// The agent's name.
    #[arg(long)]
    name: String,
    /// The model, with its vendor.
    #[arg(long)]
    model: String,
    /// What it offers, when it is not `llm`.
    #[arg(long, value_name = "NAME")]
    capability: Option<String>,
    /// Its tags.
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tags: Vec<String>,
    /// Where the vendor's API is.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The variable that holds the key.
    #[arg(long, value_name = "NAME")]
    key_variable: Option<String>,
    /// A parameter that counts where requests do not say it.
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,
}

impl Provider {
    /// Runs until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// When it is no model, or its key is missing.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr()?;
        // Able to serve the registry, and told to by nobody but its environment.
        let agent = self.model()?.agent()?.registry().configure(|config| config.registry.enabled = None);
        agent.run().await.map_err(|why| anyhow!("{why}"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn model(&self) -> anyhow::Result<Model> {
        let mut model = Model::new(&self.model).name(&self.name).tags(&self.tags);
        if let Some(capability) = &self.capability {
            model = model.capability(capability);
        }
        if let Some(url) = &self.base_url {
            model = model.base_url(url);
        }
        if let Some(variable) = &self.key_variable {
            model = model.key_variable(variable);
        }
        for param in &self.param {
            let (name, value) = parameter(param)?;
            model = model.param(name, value);
        }
        Ok(model)
    }
}

/// Reads `name=value`: the value is JSON, or else a text.
pub(crate) fn parameter(text: &str) -> anyhow::Result<(&str, Value)> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
        }
        _ => bail!("{text:?} is no parameter: write name=value, such as max_tokens=2000"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::parameter;

    #[test]
    fn parameters_are_json_or_texts() {
        assert_eq!(parameter("max_tokens=20").unwrap(), ("max_tokens", json!(20)));
        assert_eq!(parameter("reasoning_effort=low").unwrap(), ("reasoning_effort", json!("low")));
        assert_eq!(parameter("thinking={\"type\":\"enabled\"}").unwrap().1["type"], "enabled");
        assert!(parameter("=1").is_err() && parameter("max_tokens").is_err());
    }
}
