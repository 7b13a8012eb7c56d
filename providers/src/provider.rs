//! Providers: a model as an agent, without code.

use std::path::PathBuf;
use std::sync::Arc;

use mesh::glue::{BoxFuture, Call, Definition, Fault, Payload};
use mesh::llm::wire::{ModelParams, REQUEST_ARGUMENT, Reply, Request, STREAM_SUFFIX, STREAM_TAG};
use mesh::{Agent, AgentError, Error, RunningAgent, Stream};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::gate::Gate;
use crate::ledger::{CannotKeep, Ledger};
use crate::local::Local;
use crate::meters::Meters;
use crate::model::LanguageModel;
use crate::price::{BadPrices, PRICES_VARIABLE, Prices};
use crate::remote::{Remote, SILENCE};
use crate::secret::Secret;
use crate::service::{Costs, Service};
use crate::vendor::{ModelName, NotAModel, NotReachable, Told, Vendor};

/// What providers offer unless told otherwise.
pub const CAPABILITY: &str = "llm";

/// What the tool offers that tells what calls took.
pub const COSTS_CAPABILITY: &str = "llm_costs";

/// What is added to a provider's name for that tool.
const COSTS_SUFFIX: &str = "_costs";

/// A model as an agent.
///
/// ```no_run
/// # async fn run() -> mesh::Result {
/// mesh_providers::Provider::new("anthropic/claude-sonnet-4-5").tags(["claude"]).run().await
/// # }
/// ```
///
/// The key and the base URL come from the environment (`ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, and the like) unless
/// they are given here.
#[derive(Clone, Debug)]
#[must_use = "a provider does nothing until it is run"]
pub struct Provider {
    model: String,
    name: Option<String>,
    capability: String,
    tags: Vec<String>,
    version: Option<String>,
    told: Told,
    params: Map<String, Value>,
    home: Option<PathBuf>,
}

/// Why a provider does not start. Nothing was sent to its vendor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// What it shall provide is no model.
    #[error(transparent)]
    Model(#[from] NotAModel),
    /// Its vendor cannot be asked.
    #[error(transparent)]
    Reach(#[from] NotReachable),
    /// The table of prices is of no use.
    #[error(transparent)]
    Prices(#[from] BadPrices),
    /// Its figures cannot be kept.
    #[error(transparent)]
    Figures(#[from] CannotKeep),
    /// Its parameters cannot be what they are.
    #[error("the parameters of the provider cannot be used: {0}")]
    Params(serde_json::Error),
    /// It does not run as an agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

impl Provider {
    /// A provider of `model`: `anthropic/claude-sonnet-4-5`, `openai/gpt-4o-mini`, `gemini/…`, `ollama/…`, `vllm/…`,
    /// `litellm/…`, `compatible/…`, or `local`, the demonstration model.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            name: None,
            capability: CAPABILITY.to_owned(),
            tags: Vec::new(),
            version: None,
            told: Told::default(),
            params: Map::new(),
            home: None,
        }
    }

    /// The agent's name; default `<vendor>-provider`. Its tools are called like it, with `_` for `-`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it offers; default `llm`.
    pub fn capability(mut self, capability: impl Into<String>) -> Self {
        self.capability = capability.into();
        self
    }

    /// Its tags, by which consumers choose.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The version of what it offers; default `1.0.0`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Where the vendor's API is, instead of what the environment says.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.told.url = Some(url.into());
        self
    }

    /// The key, instead of what the environment says. It is never logged; an empty one is none.
    pub fn key(mut self, key: &str) -> Self {
        self.told.key = Secret::new(key);
        self
    }

    /// The environment variable that holds the key, instead of the vendor's usual one.
    pub fn key_variable(mut self, name: impl Into<String>) -> Self {
        self.told.key_variable = Some(name.into());
        self
    }

    /// A parameter that counts where a request does not say it: `max_tokens`, `temperature`, `thinking`, ….
    pub fn param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Where its figures are kept, instead of the home of the agents (`MCP_MESH_HOME`).
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// The agent, to be run beside others: `mesh::run([provider.agent()?, planner()])`.
    ///
    /// # Errors
    /// [`ProviderError`] says what to set.
    pub fn agent(self) -> Result<Agent, ProviderError> {
        let model: ModelName = self.model.parse()?;
        let name = self.name.clone().unwrap_or_else(|| format!("{}-provider", model.vendor.prefix()));
        let service = Arc::new(self.service(&model, &name)?);
        let health = Arc::clone(&service);
        let tool = name.replace('-', "_");
        let asked = |body: Body, name: &str, what: &str| {
            let definition = Definition::new(body)
                .named(name)
                .description(&format!("Asks {model} for an answer{what}."))
                .capability(&self.capability)
                .version(self.version.as_deref().unwrap_or("1.0.0"))
                .kwarg("vendor", model.vendor.prefix())
                .kwarg("model", model.to_string())
                .open_world(model.vendor != Vendor::Local)
                // Asked twice, a model may answer differently, but nothing has changed.
                .idempotent(true)
                .state::<Desk>()
                .required::<Asked>(REQUEST_ARGUMENT, "What was said so far, the tools, and how to answer.");
            self.tags.iter().fold(definition, |definition, tag| definition.tag(tag))
        };
        let whole = asked(answer, &tool, "");
        let streamed = asked(stream, &format!("{tool}{STREAM_SUFFIX}"), " that comes word by word");
        let costs = Definition::new(costs)
            .named(&format!("{tool}{COSTS_SUFFIX}"))
            .description("Tells what its answers took: tokens and money, by asker and model.")
            .capability(COSTS_CAPABILITY)
            .read_only(true)
            .idempotent(true)
            .state::<Desk>()
            .optional::<u64>("last_seconds", "Only of the last so many seconds.")
            .returns::<Costs>();
        Ok(Agent::new(name)
            .description(format!("{model} as an agent"))
            .label("model", model.to_string())
            .define(whole)
            .define(streamed.tag(STREAM_TAG).returns::<Stream<String>>())
            .define(costs)
            .state(Desk(service))
            .health_check(move || {
                let service = Arc::clone(&health);
                async move { service.health().await }
            }))
    }

    /// Runs it until the process is told to end.
    ///
    /// # Errors
    /// [`ProviderError`] when it does not start.
    pub async fn run(self) -> mesh::Result {
        self.agent()?.run().await
    }

    /// Starts it, and returns once it serves.
    ///
    /// # Errors
    /// [`ProviderError`]. Nothing runs then.
    pub async fn start(self) -> Result<RunningAgent, ProviderError> {
        Ok(self.agent()?.start().await?)
    }

    fn service(&self, name: &ModelName, agent: &str) -> Result<Service, ProviderError> {
        let variable = |name: &str| std::env::var(name).ok();
        let (model, variable): (Box<dyn LanguageModel>, _) = match name.vendor {
            Vendor::Local => (Box::new(Local::new(name)), String::new()),
            _ => {
                let access = name.access(&self.told, variable)?;
                let key_variable = access.key_variable.clone();
                (Box::new(Remote::new(name.clone(), access, SILENCE)?), key_variable)
            }
        };
        let own_prices = std::env::var_os(PRICES_VARIABLE).filter(|path| !path.is_empty());
        let ledger = match self.home.clone().or_else(mesh::home) {
            Some(home) => Ledger::open(&home, agent)?,
            None => Ledger::in_memory(),
        };
        Ok(Service {
            model,
            variable,
            defaults: params(self.params.clone())?,
            prices: Prices::load(own_prices.map(PathBuf::from))?,
            ledger,
            gate: Gate::default(),
            meters: Meters::new(&name.to_string()),
        })
    }
}

fn params(said: Map<String, Value>) -> Result<ModelParams, ProviderError> {
    ModelParams::deserialize(Value::Object(said)).map_err(ProviderError::Params)
}

/// The body of a tool.
type Body = fn(Call) -> BoxFuture<'static, Result<Payload, Fault>>;

/// What the tools of a provider share.
struct Desk(Arc<Service>);

/// The argument of a provider's tools.
#[derive(Deserialize)]
#[serde(transparent)]
struct Asked(Request);

impl JsonSchema for Asked {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MeshLlmRequest".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "messages": { "type": "array", "items": { "type": "object" } },
                "tools": { "anyOf": [{ "type": "array", "items": { "type": "object" } }, { "type": "null" }] },
                "model_params": { "anyOf": [{ "type": "object" }, { "type": "null" }] },
                "context": {},
                "request_id": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                "caller_agent": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            },
            "required": ["messages"],
        })
    }
}

fn answer(mut call: Call) -> BoxFuture<'static, Result<Payload, Fault>> {
    Box::pin(async move {
        let request = request(&mut call)?;
        let desk = call.slots().state::<Desk>();
        let reply: Reply = desk.0.answer(request, &call.context()).await.map_err(Fault::from)?;
        let reply = serde_json::to_vec(&reply).map_err(|why| Fault::from(Error::from(why)))?;
        Ok(Payload::Value(reply.into()))
    })
}

fn stream(mut call: Call) -> BoxFuture<'static, Result<Payload, Fault>> {
    Box::pin(async move {
        let request = request(&mut call)?;
        let desk = call.slots().state::<Desk>();
        let frames = Arc::clone(&desk.0).stream(request, call.context());
        call.finish(frames).await
    })
}

fn costs(call: Call) -> BoxFuture<'static, Result<Payload, Fault>> {
    Box::pin(async move {
        let last = call.arguments(|arguments| arguments.optional::<u64>("last_seconds"))?;
        let desk = call.slots().state::<Desk>();
        let costs = desk.0.costs(last);
        call.finish(costs).await
    })
}

fn request(call: &mut Call) -> Result<Request, Fault> {
    call.arguments(|arguments| arguments.required::<Asked>(REQUEST_ARGUMENT)).map(|asked| asked.0)
}

#[cfg(test)]
mod tests;
