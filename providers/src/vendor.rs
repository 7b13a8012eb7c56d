//! Who makes models, and what is needed to ask them: an address and a key, from the environment or from code.

use std::fmt;

use crate::secret::Secret;

/// Who answers, and in which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Anthropic's messages.
    Anthropic,
    /// OpenAI's chat completions, and its responses for the models that want them.
    OpenAi,
    /// Google's Gemini.
    Gemini,
    /// An Ollama server, by OpenAI's chat completions.
    Ollama,
    /// A vLLM server, likewise.
    Vllm,
    /// A LiteLLM proxy, likewise.
    LiteLlm,
    /// Any other server that speaks OpenAI's chat completions.
    Compatible,
    /// The demonstration model in this crate: no network, no key.
    Local,
}

/// A model and its vendor, as `anthropic/claude-sonnet-4-5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelName {
    /// Whose it is.
    pub vendor: Vendor,
    /// What the vendor calls it.
    pub model: String,
}

/// A text that names no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAModel {
    /// There is nothing behind the vendor.
    #[error("{0:?} names no model: write vendor/model, such as anthropic/claude-sonnet-4-5, or local")]
    Empty(String),
    /// The vendor cannot be told from the name.
    #[error(
        "{0:?} does not say whose model it is: write one of anthropic/, openai/, gemini/, ollama/, vllm/, litellm/ or \
         compatible/ before it (the last for any server that speaks OpenAI's chat completions)"
    )]
    Vendor(String),
}

/// Why a vendor cannot be asked. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReachable {
    /// Its key is missing.
    #[error("{vendor} needs a key: set {variable} (or give the provider one in code)")]
    NoKey {
        /// Who.
        vendor: Vendor,
        /// Where the key is looked for.
        variable: String,
    },
    /// Nobody says where it is.
    #[error("where is the server of {model}? set {variable} to its base URL, such as http://127.0.0.1:8000/v1")]
    NoUrl {
        /// The model.
        model: ModelName,
        /// Where the URL is looked for.
        variable: &'static str,
    },
    /// What is said to be its address is none.
    #[error("{url:?} ({variable}) is no base URL: write http://host:port/path or https://…")]
    BadUrl {
        /// What was said.
        url: String,
        /// Where.
        variable: String,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

/// Where a vendor is, and with which key.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Its base URL, with a slash at its end.
    pub(crate) url: String,
    /// Its key; servers in one's own house need none.
    pub(crate) key: Option<Secret>,
    /// The variable that the key is looked for in.
    pub(crate) key_variable: String,
}

/// What was said in code about a vendor, which comes before the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) url: Option<String>,
    pub(crate) key: Option<Secret>,
    pub(crate) key_variable: Option<String>,
}

/// What is known about a vendor beforehand.
struct Facts {
    key: &'static str,
    /// Another name for it, which its own tools use.
    other_key: Option<&'static str>,
    url: &'static str,
    other_url: Option<&'static str>,
    usual_url: Option<&'static str>,
    /// What the path ends with; added where the URL has no version, as the vendor's own clients do.
    path: Option<&'static str>,
    is_key_needed: bool,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Anthropic,
        Self::OpenAi,
        Self::Gemini,
        Self::Ollama,
        Self::Vllm,
        Self::LiteLlm,
        Self::Compatible,
        Self::Local,
    ];

    /// What stands before the `/` of its models.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::LiteLlm => "litellm",
            Self::Compatible => "compatible",
            Self::Local => "local",
        }
    }

    fn of_prefix(text: &str) -> Option<Self> {
        match text {
            "google" => Some(Self::Gemini),
            _ => Self::ALL.into_iter().find(|vendor| vendor.prefix() == text),
        }
    }

    /// Whose a model without a prefix is, where its name tells.
    fn of_bare(model: &str) -> Option<Self> {
        let begins = |with: &[&str]| with.iter().any(|start| model.starts_with(start));
        match model {
            "local" => Some(Self::Local),
            _ if begins(&["claude-"]) => Some(Self::Anthropic),
            _ if begins(&["gpt-oss"]) => None,
            _ if begins(&["gpt-", "o1", "o3", "o4", "chatgpt-"]) => Some(Self::OpenAi),
            _ if begins(&["gemini-"]) => Some(Self::Gemini),
            _ => None,
        }
    }

    fn facts(self) -> Facts {
        let house = |key, url, usual_url| Facts {
            key,
            other_key: None,
            url,
            other_url: None,
            usual_url,
            path: None,
            is_key_needed: false,
        };
        match self {
            Self::Anthropic => Facts {
                key: "ANTHROPIC_API_KEY",
                other_key: None,
                url: "ANTHROPIC_BASE_URL",
                other_url: None,
                usual_url: Some("https://api.anthropic.com"),
                path: Some("v1"),
                is_key_needed: true,
            },
            Self::OpenAi => Facts {
                key: "OPENAI_API_KEY",
                other_key: None,
                url: "OPENAI_BASE_URL",
                other_url: Some("OPENAI_API_BASE"),
                usual_url: Some("https://api.openai.com/v1"),
                path: None,
                is_key_needed: true,
            },
            Self::Gemini => Facts {
                key: "GEMINI_API_KEY",
                other_key: Some("GOOGLE_API_KEY"),
                url: "GEMINI_BASE_URL",
                other_url: Some("GOOGLE_GEMINI_BASE_URL"),
                usual_url: Some("https://generativelanguage.googleapis.com"),
                path: Some("v1beta"),
                is_key_needed: true,
            },
            Self::Ollama => house("OLLAMA_API_KEY", "OLLAMA_BASE_URL", Some("http://127.0.0.1:11434/v1")),
            Self::Vllm => house("VLLM_API_KEY", "VLLM_BASE_URL", Some("http://127.0.0.1:8000/v1")),
            Self::LiteLlm => house("LITELLM_API_KEY", "LITELLM_BASE_URL", Some("http://127.0.0.1:4000/v1")),
            Self::Compatible => house("COMPATIBLE_API_KEY", "COMPATIBLE_BASE_URL", None),
            Self::Local => house("", "", Some("")),
        }
    }
}

impl ModelName {
    /// How to ask for it: what was `told` in code, else what `variable` gives for the names of the environment.
    pub(crate) fn access(
        &self,
        told: &Told,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Access, NotReachable> {
        let facts = self.vendor.facts();
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let key_variable = told.key_variable.clone().unwrap_or_else(|| facts.key.to_owned());
        let key = told.key.clone().or_else(|| {
            let other = facts.other_key.filter(|_| told.key_variable.is_none());
            let value = set(&key_variable).or_else(|| set(other?))?;
            Secret::new(&value)
        });
        if key.is_none() && (facts.is_key_needed || told.key_variable.is_some()) {
            return Err(NotReachable::NoKey { vendor: self.vendor, variable: key_variable });
        }
        let of_environment = || {
            let other = || facts.other_url.and_then(|name| Some((set(name)?, name)));
            set(facts.url).map(|url| (url, facts.url)).or_else(other).map(|(url, name)| (url, name.to_owned()))
        };
        let usual = || facts.usual_url.map(|url| (url.to_owned(), facts.url.to_owned()));
        let in_code = told.url.clone().map(|url| (url, "the base URL in code".to_owned()));
        let (url, said_by) = in_code
            .or_else(of_environment)
            .or_else(usual)
            .ok_or_else(|| NotReachable::NoUrl { model: self.clone(), variable: facts.url })?;
        let url = base_url(&url, facts.path).ok_or(NotReachable::BadUrl { url, variable: said_by })?;
        Ok(Access { url, key, key_variable })
    }
}

/// `text` as what paths are added to: with the version where it has none, and a slash at the end.
fn base_url(text: &str, version: Option<&str>) -> Option<String> {
    let parsed = reqwest::Url::parse(text.trim()).ok()?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return None;
    }
    let mut url = parsed.as_str().trim_end_matches('/').to_owned();
    let last = url.rsplit('/').next().unwrap_or_default();
    let has_version = last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit()));
    if let Some(version) = version.filter(|_| !has_version) {
        url = format!("{url}/{version}");
    }
    Some(url + "/")
}

impl std::str::FromStr for ModelName {
    type Err = NotAModel;

    fn from_str(text: &str) -> Result<Self, NotAModel> {
        let text = text.trim();
        if let Some((prefix, model)) = text.split_once('/')
            && let Some(vendor) = Vendor::of_prefix(prefix)
        {
            let model = model.trim();
            return match model.is_empty() {
                true => Err(NotAModel::Empty(text.into())),
                false => Ok(Self { vendor, model: model.into() }),
            };
        }
        if text.is_empty() {
            return Err(NotAModel::Empty(text.into()));
        }
        let vendor = Vendor::of_bare(text).ok_or_else(|| NotAModel::Vendor(text.into()))?;
        let model = if vendor == Vendor::Local { "demonstration" } else { text };
        Ok(Self { vendor, model: model.into() })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor.prefix(), self.model)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anthropic => "Anthropic",
            Self::OpenAi => "OpenAI",
            Self::Gemini => "Gemini",
            Self::Ollama => "Ollama",
            Self::Vllm => "vLLM",
            Self::LiteLlm => "LiteLLM",
            Self::Compatible => "the compatible server",
            Self::Local => "the local model",
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn access(model: &str, set: &[(&str, &str)]) -> Result<Access, NotReachable> {
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        model.parse::<ModelName>().unwrap().access(&Told::default(), variable)
    }

    #[test]
    fn models_are_named_with_their_vendor_or_by_a_name_that_tells_it() {
        let named = |text: &str| text.parse::<ModelName>().map(|name| name.to_string());
        assert_eq!(named("anthropic/claude-sonnet-4-5").unwrap(), "anthropic/claude-sonnet-4-5");
        assert_eq!(named("google/gemini-2.5-flash").unwrap(), "gemini/gemini-2.5-flash");
        assert_eq!(named("gpt-4o-mini").unwrap(), "openai/gpt-4o-mini");
        assert_eq!(named("vllm/meta-llama/Llama-3.1-8B").unwrap(), "vllm/meta-llama/Llama-3.1-8B");
        assert_eq!(named("local").unwrap(), "local/demonstration");
        assert_eq!(named("local/claude").unwrap(), "local/claude");
        assert!(named("llama3").unwrap_err().to_string().contains("ollama/"));
        assert!(matches!(named("gpt-oss-20b"), Err(NotAModel::Vendor(_))));
        assert!(matches!(named("openai/"), Err(NotAModel::Empty(_))));
        assert!(named("").is_err());
    }

    #[test]
    fn a_missing_key_is_named_by_its_variable() {
        let why = access("anthropic/claude-sonnet-4-5", &[]).unwrap_err().to_string();
        assert!(why.contains("set ANTHROPIC_API_KEY"), "{why}");
        assert!(access("gemini/gemini-2.5-pro", &[("GOOGLE_API_KEY", "k")]).unwrap().key.is_some());
        assert!(access("ollama/llama3", &[]).unwrap().key.is_none());
        let told = Told { key_variable: Some("MY_KEY".into()), ..Told::default() };
        let name: ModelName = "openai/gpt-4o".parse().unwrap();
        let why = name.access(&told, |_| None).unwrap_err().to_string();
        assert!(why.contains("set MY_KEY"), "{why}");
    }

    #[test]
    fn base_urls_are_read_as_the_clients_of_the_vendors_read_them() {
        let key = ("ANTHROPIC_API_KEY", "k");
        let url = |set: &str| access("claude-x", &[key, ("ANTHROPIC_BASE_URL", set)]).map(|access| access.url);
        assert_eq!(url("http://127.0.0.1:9/").unwrap(), "http://127.0.0.1:9/v1/");
        assert_eq!(url("http://127.0.0.1:9/v1").unwrap(), "http://127.0.0.1:9/v1/");
        assert_eq!(url("").unwrap(), "https://api.anthropic.com/v1/");
        assert!(url("localhost:9").unwrap_err().to_string().contains("ANTHROPIC_BASE_URL"));
        let openai = access("gpt-4o", &[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://h/openai/v1")]).unwrap();
        assert_eq!(openai.url, "http://h/openai/v1/");
        assert!(access("compatible/x", &[]).unwrap_err().to_string().contains("COMPATIBLE_BASE_URL"));
    }
}
