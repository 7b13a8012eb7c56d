//! What tokens cost: a dated table, which the operator may override.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesh::llm::wire::Usage;
use serde::Deserialize;

/// The variable that names a file with prices of one's own.
pub const PRICES_VARIABLE: &str = "MESH_LLM_PRICES";

/// The table that comes with the crate.
const SHIPPED: &str = include_str!("../prices.toml");

/// Prices of models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// Of which day they are.
    as_of: String,
    /// By the model's name, which may go on with a date.
    models: BTreeMap<String, Price>,
}

/// What a model costs, in US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: f64,
    output: f64,
    #[serde(default)]
    cache_read: Option<f64>,
    #[serde(default)]
    cache_write: Option<f64>,
}

/// Why a table of prices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPrices {
    /// The file cannot be read.
    #[error("cannot read {path}, which {PRICES_VARIABLE} names: {why}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// It is not such a table.
    #[error("{0} is no table of prices: {1}")]
    Malformed(String, String),
}

impl Prices {
    /// The table that comes with the crate, and what the file at `own` says instead.
    ///
    /// # Errors
    /// [`BadPrices`] when that file is of no use.
    pub(crate) fn load(own: Option<PathBuf>) -> Result<Self, BadPrices> {
        let mut prices = Self::read(SHIPPED, "the table that comes with the crate")?;
        if let Some(path) = own {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|why| BadPrices::Unreadable { path: path.clone(), why })?;
            let theirs = Self::read(&text, &path.display().to_string())?;
            prices.as_of = theirs.as_of;
            prices.models.extend(theirs.models);
        }
        Ok(prices)
    }

    fn read(text: &str, from: &str) -> Result<Self, BadPrices> {
        let malformed = |why: String| BadPrices::Malformed(from.to_owned(), why);
        let prices: Self = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let all = |price: &Price| [Some(price.input), Some(price.output), price.cache_read, price.cache_write];
        let is_sound = |price: f64| price.is_finite() && price >= 0.0;
        match prices.models.iter().find(|(_, price)| !all(price).into_iter().flatten().all(is_sound)) {
            Some((model, _)) => Err(malformed(format!("the price of {model} is below zero, or no number"))),
            None => Ok(prices),
        }
    }

    /// Of which day they are.
    pub(crate) fn as_of(&self) -> &str {
        &self.as_of
    }

    /// What `usage` cost, in US dollars; `None` when the table does not know its model.
    pub(crate) fn cost(&self, usage: &Usage) -> Option<f64> {
        let price = self.price(&usage.model)?;
        let read = usage.cache_read_tokens.unwrap_or_default();
        let written = usage.cache_write_tokens.unwrap_or_default();
        let plain = usage.prompt_tokens.saturating_sub(read.saturating_add(written));
        #[expect(clippy::cast_precision_loss, reason = "nobody uses 2^53 tokens")]
        let of = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        Some(
            of(plain, price.input)
                + of(read, price.cache_read.unwrap_or(price.input))
                + of(written, price.cache_write.unwrap_or(price.input))
                + of(usage.completion_tokens, price.output),
        )
    }

    fn price(&self, model: &str) -> Option<&Price> {
        let is_meant = |name: &str| match model.strip_prefix(name) {
            Some("") => true,
            Some(rest) => {
                let dated = rest.strip_prefix(['-', '@', ':']);
                name.ends_with('/') || dated.is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()))
            }
            None => false,
        };
        let known = self.models.iter().filter(|(name, _)| is_meant(name));
        known.max_by_key(|(name, _)| name.len()).map(|(_, price)| price)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn usage(model: &str) -> Usage {
        Usage { prompt_tokens: 1_000_000, completion_tokens: 100_000, model: model.into(), ..Usage::default() }
    }

    #[test]
    fn tokens_are_priced_by_the_longest_name_and_cached_ones_apart() {
        let prices = Prices::load(None).unwrap();
        assert_eq!(prices.cost(&usage("anthropic/claude-sonnet-4-5-20250929")), Some(4.5));
        assert_eq!(prices.cost(&usage("openai/gpt-4o-mini")), Some(0.21));
        assert_eq!(prices.cost(&usage("openai/gpt-4o")), Some(3.5));
        assert_eq!(prices.cost(&usage("local/claude")), Some(0.0));
        assert_eq!(prices.cost(&usage("vllm/llama")), None);
        assert_eq!(prices.cost(&usage("openai/gpt-5-pro")), None);
        let cached = Usage {
            cache_read_tokens: Some(500_000),
            cache_write_tokens: Some(500_000),
            ..usage("anthropic/claude-sonnet-4-5")
        };
        assert!((prices.cost(&cached).unwrap() - (0.15 + 1.875 + 1.5)).abs() < 1e-9);
    }

    #[test]
    fn a_file_of_ones_own_comes_before_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.toml");
        let own = "as_of = \"2026-02-01\"\n[models]\n\"vllm/llama\" = { input = 1.0, output = 0.0 }\n";
        std::fs::write(&path, own).unwrap();
        let prices = Prices::load(Some(path.clone())).unwrap();
        assert_eq!((prices.as_of(), prices.cost(&usage("vllm/llama-3"))), ("2026-02-01", Some(1.0)));
        assert_eq!(prices.cost(&usage("openai/gpt-4o")), Some(3.5));
        std::fs::write(&path, own.replace("1.0", "-1.0")).unwrap();
        assert!(Prices::load(Some(path.clone())).unwrap_err().to_string().contains("vllm/llama"));
        std::fs::write(&path, "models = 5").unwrap();
        assert!(Prices::load(Some(path.clone())).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(Prices::load(Some(path)).unwrap_err().to_string().contains(PRICES_VARIABLE));
    }
}
