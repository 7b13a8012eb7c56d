//! How a tool uses a model: as its author declared it, and as it is once its agent runs.

use std::sync::Arc;

use mesh_gossip::resolve::llm::{FilterMode, Pattern, ToolFilter};
use mesh_gossip::resolve::tags::Term;
use mesh_gossip::resolve::version::Constraint;
use mesh_node::tool::JsonObject;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::answer::Expected;
use super::limits::Limits;
use super::prompt::{Known, Prompt, PromptError, PromptSource};
use super::tools::LastToolbox;
use super::wire::ModelParams;
use crate::schema;

/// How a tool uses a model, as its author declared it. Made by `#[mesh::llm]`.
#[derive(Clone)]
pub struct LlmDeclaration {
    pub(crate) filter: ToolFilter,
    prompt: PromptSource,
    context: Option<fn() -> JsonObject>,
    expected: fn() -> Result<Expected, String>,
    limits: Limits,
    params: ModelParams,
    /// What checks it. Known from here only, so that programs without a model carry nothing of what that takes.
    check: Check,
}

/// Checks a declaration for a tool, whose arguments the object describes, under what an environment says.
type Check = fn(LlmDeclaration, &Arc<str>, &JsonObject, &dyn Fn(&str) -> Option<String>) -> Result<LlmSettings, BadLlm>;

/// The same, checked.
pub(crate) struct LlmSettings {
    pub(crate) filter: ToolFilter,
    pub(crate) prompt: Prompt,
    pub(crate) expected: Arc<Expected>,
    pub(crate) limits: Limits,
    pub(crate) params: ModelParams,
    /// What arguments are that nobody gave.
    pub(crate) defaults: Map<String, Value>,
    /// What the filter let through the last time.
    pub(crate) toolbox: LastToolbox,
}

/// Why a tool cannot use a model as it was told to. Its author has to change it, or its operator the environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadLlm {
    /// Its prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The type of its answer has no schema that can be checked.
    #[error("`{tool}`: the type of the model's answer cannot be checked: {why}")]
    Answer {
        /// The tool.
        tool: String,
        /// Why not.
        why: String,
    },
    /// An environment variable.
    #[error("{variable} = {said}: {wanted}")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// What it says.
        said: String,
        /// What it may say.
        wanted: &'static str,
    },
}

impl LlmDeclaration {
    /// A model that answers with a `T`, and is shown no tools.
    pub fn answering<T: JsonSchema>() -> Self {
        Self {
            filter: ToolFilter::default(),
            prompt: PromptSource::default(),
            context: None,
            expected: Expected::of::<T>,
            limits: Limits::default(),
            params: ModelParams::default(),
            check: Self::check,
        }
    }

    /// It is shown the tools of this capability (any for ``), with these tags, each a group of alternatives, and of
    /// these versions.
    #[must_use]
    pub fn shown(mut self, capability: &str, tags: &[&[&str]], version: &str) -> Self {
        let terms = tags.iter().filter_map(|group| match group {
            [one] => Term::one(one),
            group => Term::any_of(group.iter().copied()),
        });
        self.filter.patterns.push(Pattern {
            capability: (!capability.is_empty()).then(|| capability.into()),
            tags: terms.collect(),
            version: if version.is_empty() { Constraint::default() } else { Constraint::new(version) },
        });
        self
    }

    /// What becomes of the tools that match: `all`, `best_match`, or `*` for every tool there is.
    #[must_use]
    pub fn filter_mode(mut self, mode: &str) -> Self {
        self.filter.mode = FilterMode::from(mode.to_owned());
        self
    }

    /// Its instructions: a text.
    #[must_use]
    pub fn prompt(mut self, text: &'static str) -> Self {
        self.prompt = PromptSource::text(text);
        self
    }

    /// Its instructions: the text of a file.
    #[must_use]
    pub fn prompt_file(mut self, path: &'static str, text: &'static str) -> Self {
        self.prompt = PromptSource::file(path, text);
        self
    }

    /// What its instructions may use besides the tool's arguments: the fields of a `C`.
    #[must_use]
    pub fn context<C: JsonSchema>(mut self) -> Self {
        self.context = Some(schema::of_output::<C>);
        self
    }

    /// How often it is asked at most.
    #[must_use]
    pub fn max_iterations(mut self, count: u32) -> Self {
        self.limits.iterations = count;
        self
    }

    /// The most tokens of one loop.
    #[must_use]
    pub fn max_total_tokens(mut self, count: u64) -> Self {
        self.limits.tokens = Some(count);
        self
    }

    /// The most that one loop may cost, in US dollars.
    #[must_use]
    pub fn max_cost_usd(mut self, cost: f64) -> Self {
        self.limits.cost_usd = Some(cost);
        self
    }

    /// The most bytes of a tool's result that it is shown.
    #[must_use]
    pub fn max_result_bytes(mut self, count: usize) -> Self {
        self.limits.result_bytes = count;
        self
    }

    /// How it shall answer: a parameter of the wire's name, whose value is JSON.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: Value) -> Self {
        let said: ModelParams =
            serde_json::from_value(Value::Object([(name.to_owned(), value)].into_iter().collect())).unwrap_or_default();
        self.params = said.over(&self.params);
        self
    }

    /// All of it for `tool`, whose arguments `input` describes, with what `environment` says otherwise.
    ///
    /// # Errors
    /// [`BadLlm`].
    pub(crate) fn finish(
        self,
        tool: &Arc<str>,
        input: &JsonObject,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<LlmSettings, BadLlm> {
        (self.check)(self, tool, input, environment)
    }

    fn check(
        self,
        tool: &Arc<str>,
        input: &JsonObject,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<LlmSettings, BadLlm> {
        let Self { mut filter, prompt, context, expected, mut limits, mut params, .. } = self;
        let mut known = Known::default();
        known.add(input);
        if let Some(context) = context {
            known.add(&context());
        }
        let prompt = Prompt::new(tool, &prompt, &known, environment)?;
        let expected = expected().map_err(|why| BadLlm::Answer { tool: tool.to_string(), why })?;
        let said = |name| environment(name).map(|said| said.trim().to_owned()).filter(|said| !said.is_empty());
        if let Some(said) = said(ITERATIONS) {
            let wrong = |wanted| BadLlm::Variable { variable: ITERATIONS, said: said.clone(), wanted };
            limits.iterations =
                said.parse().ok().filter(|count| *count > 0).ok_or_else(|| wrong("say a number above zero"))?;
        }
        if let Some(mode) = said(FILTER_MODE) {
            if !["all", "best_match", "*"].contains(&mode.as_str()) {
                let wanted = "say `all`, `best_match` or `*`";
                return Err(BadLlm::Variable { variable: FILTER_MODE, said: mode, wanted });
            }
            filter.mode = FilterMode::from(mode);
        }
        if let Some(model) = said(MODEL) {
            params.model = Some(model);
        }
        let (expected, defaults, toolbox) = (Arc::new(expected), defaults(input), LastToolbox::default());
        Ok(LlmSettings { filter, prompt, expected, limits, params, defaults, toolbox })
    }
}

const ITERATIONS: &str = "MESH_LLM_MAX_ITERATIONS";
const FILTER_MODE: &str = "MESH_LLM_FILTER_MODE";
const MODEL: &str = "MESH_LLM_MODEL";

/// What each of the arguments is that nobody gave: its default, or nothing.
fn defaults(input: &JsonObject) -> Map<String, Value> {
    let properties = input.get("properties").and_then(Value::as_object);
    let default =
        |(name, schema): (&String, &Value)| (name.clone(), schema.get("default").cloned().unwrap_or_default());
    properties.into_iter().flatten().map(default).collect()
}
