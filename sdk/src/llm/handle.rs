//! The model that a tool was given.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_gossip::resolve::Resolver;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::tags::{Term, Wish};
use mesh_node::call::Caller;
use mesh_node::context::Scope;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::Expected;
use super::error::{LlmError, Why};
use super::limits::{Limits, MAX_CONVERSATION, Spent};
use super::machine::{Beginning, Machine};
use super::models::{self, Models, Providers};
use super::settings::LlmSettings;
use super::talk::{Hands, LoopSpan, Talk, Told};
use super::tools::{Descriptions, Toolbox};
use super::wire::{self, Message, ModelParams, Reply, Role, STREAM_TAG};
use super::words::{LlmStream, Words};
use crate::error::Result as BodyResult;
use crate::need::Bound;

/// How long a loop may take when nobody says anything.
const DEFAULT_TIME: Duration = Duration::from_secs(300);

/// A model of the mesh that answers with a `T`: a text for `String`, else JSON that fits the type's schema. A parameter
/// of this type is injected into tools made by `#[mesh::llm]`.
///
/// Each question is a loop: the model is shown the tools that the attribute lets through, what it wants is called through
/// the mesh, until it has an answer.
#[must_use = "a model does nothing until it is asked"]
pub struct Llm<T> {
    models: Models,
    home: Option<Home>,
    prompt: Option<String>,
    expected: Result<Arc<Expected>, String>,
    values: Map<String, Value>,
    history: Vec<Message>,
    limits: Limits,
    params: ModelParams,
    timeout: Option<Duration>,
    answer: PhantomData<fn() -> T>,
}

/// What a model in the mesh has that one in a test has not.
#[derive(Clone)]
struct Home {
    agent: Arc<str>,
    tool: Arc<str>,
    settings: Arc<LlmSettings>,
    descriptions: Arc<Descriptions>,
    caller: Caller,
    scope: Scope,
    capability: Arc<str>,
}

/// What is asked: a text, a [`Message`] with images or files, or a whole conversation, whose last message is the question.
#[derive(Clone, Debug)]
pub struct Question(Vec<Message>);

/// An answer, and how it came about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer<T> {
    /// What the model answered.
    pub value: T,
    /// What it took.
    pub spent: Spent,
    /// Everything that was said, the instructions first: a history for the next question.
    pub transcript: Vec<Message>,
}

impl<T> Llm<T> {
    /// The model that `bound` describes, for the call of `tool` with `arguments`.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { agent, tool, settings, descriptions, bound, resolver, caller, scope, arguments } = parts;
        let selector = bound.query.selector();
        let providers = Providers {
            whole: bound.query.clone(),
            pieces: resolver.query(&streaming(selector)),
            caller: caller.clone(),
            options: bound.options.clone(),
            scope: scope.clone(),
        };
        let mut values = settings.defaults.clone();
        if let Ok(Value::Object(given)) = serde_json::from_slice(&arguments) {
            values.extend(given);
        }
        let (limits, params, expected) = (settings.limits, settings.params.clone(), Ok(settings.expected.clone()));
        let capability = selector.capability.clone();
        let home = Some(Home { agent, tool, settings, descriptions, caller, scope, capability });
        let models = Models::Mesh(Box::new(providers));
        Self {
            models,
            home,
            prompt: None,
            expected,
            values,
            history: Vec::new(),
            limits,
            params,
            timeout: None,
            answer: PhantomData,
        }
    }

    /// The same with the fields of `context` in its instructions. Later ones win over earlier ones, all of them over the
    /// tool's arguments. What is no object has no fields.
    pub fn context(mut self, context: impl Serialize) -> Self {
        if let Ok(Value::Object(fields)) = serde_json::to_value(context) {
            self.values.extend(fields);
        }
        self
    }

    /// The same with one more value in its instructions.
    pub fn value(mut self, name: &str, value: impl Serialize) -> Self {
        self.values.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// The same with other instructions, as they are: no template.
    pub fn prompt(mut self, text: impl Into<String>) -> Self {
        self.prompt = Some(text.into());
        self
    }

    /// The same after this conversation. Instructions in it are left out.
    pub fn history(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.history.extend(messages);
        self
    }

    /// The same with a parameter for the model, by its name on the wire: `temperature`, `max_tokens`, `model`, …, or what
    /// only one vendor knows. A value of a wrong type says nothing.
    pub fn parameter(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        let said = Value::Object([(name.to_owned(), value)].into_iter().collect());
        let said: ModelParams = serde_json::from_value(said).unwrap_or_default();
        self.params = said.over(&self.params);
        self
    }

    /// The same that is asked at most `count` times for one answer.
    pub fn max_iterations(mut self, count: u32) -> Self {
        self.limits.iterations = count;
        self
    }

    /// The same with at most `timeout` for one answer; what the running call allows may be less.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same that answers with a `U`.
    pub fn of<U: JsonSchema>(self) -> Llm<U> {
        let Self { models, home, prompt, values, history, limits, params, timeout, .. } = self;
        let expected = Expected::of::<U>().map(Arc::new);
        Llm { models, home, prompt, expected, values, history, limits, params, timeout, answer: PhantomData }
    }

    async fn run(self, question: Question, words: Option<&mut Words>) -> Result<Told, LlmError> {
        let nothing_said = |why| LlmError::new(why, Vec::new(), Spent::default());
        let messages = self.messages(question).map_err(nothing_said)?;
        let expected = self.expected.map_err(|why| nothing_said(Why::Unfit { why, said: String::new() }))?;
        let begun = Instant::now();
        let mut deadline = begun + self.timeout.unwrap_or(DEFAULT_TIME);
        let mut params = self.params;
        if let Some(shape) = expected.shape() {
            params.output_schema = Some(shape.schema.clone());
            params.output_type_name = Some(shape.name.clone());
        }
        let asker = self.home.as_ref().map(|home| home.agent.clone());
        let (tools, none) = (Arc::default(), Arc::default());
        let mut beginning = Beginning { limits: self.limits, expected, tools, params: none, asker, messages };
        let Some(home) = self.home else {
            beginning.params = Arc::new(params);
            let machine = Machine::new(beginning);
            return Talk { machine, models: self.models, hands: None, begun, deadline }.run(words).await;
        };
        deadline = home.scope.deadline.map_or(deadline, |outer| outer.min(deadline));
        let caller = home.caller.clone();
        let (span, at) = LoopSpan::begin(&caller, &home.scope, &home.tool);
        let (filter, last) = (&home.settings.filter, &home.settings.toolbox);
        let toolbox = Toolbox::open(&caller, &home.descriptions, filter, &home.capability, last).await;
        let at_once = params.parallel_tool_calls != Some(false);
        if !toolbox.specs.is_empty() && params.parallel_tool_calls.is_none() {
            params.parallel_tool_calls = Some(true);
        }
        (beginning.tools, beginning.params) = (toolbox.specs.clone(), Arc::new(params));
        let scope = Scope { deadline: Some(deadline), trace: Some(at), ..home.scope };
        let models = self.models.within(&scope);
        let hands = Some(Hands { caller: caller.clone(), toolbox, scope, at_once });
        let told = Talk { machine: Machine::new(beginning), models, hands, begun, deadline }.run(words).await;
        span.end(&told);
        told
    }

    /// The instructions, what was said before, and the question.
    fn messages(&self, question: Question) -> Result<Vec<Message>, Why> {
        let instructions = match (&self.prompt, &self.home) {
            (Some(text), _) => text.clone(),
            (None, Some(home)) => home.settings.prompt.write(&self.values).map_err(Why::Prompt)?,
            (None, None) => String::new(),
        };
        let said = self.history.iter().cloned().chain(question.0).filter(|message| message.role != Role::System);
        let messages: Vec<Message> = if instructions.trim().is_empty() {
            said.collect()
        } else {
            std::iter::once(Message::system(instructions)).chain(said).collect()
        };
        let bytes = messages.iter().map(Message::bytes).sum();
        if bytes > MAX_CONVERSATION {
            return Err(Why::TooLong { bytes, limit: MAX_CONVERSATION });
        }
        Ok(messages)
    }
}

impl<T: DeserializeOwned + JsonSchema + 'static> Llm<T> {
    /// Asks, and waits for the answer as long as the running call may last. Dropping the future withdraws the question;
    /// tools may have run.
    ///
    /// # Errors
    /// [`LlmError`], with everything that was said until then.
    pub async fn ask(self, question: impl Into<Question>) -> Result<T, LlmError> {
        Ok(self.answer(question).await?.value)
    }

    /// As [`Llm::ask`], with how the answer came about.
    ///
    /// # Errors
    /// [`LlmError`], with everything that was said until then.
    pub async fn answer(self, question: impl Into<Question>) -> Result<Answer<T>, LlmError> {
        let Told { answer, transcript, spent } = self.run(question.into(), None).await?;
        match serde_path_to_error::deserialize(&answer) {
            Ok(value) => Ok(Answer { value, spent, transcript }),
            // The schema was satisfied and the type is not: it asks for more than its schema says.
            Err(why) => {
                Err(LlmError::new(Why::Unfit { why: why.to_string(), said: answer.to_string() }, transcript, spent))
            }
        }
    }

    /// A model that `answer` plays, for tests of a tool's body: it is given each request, and shown no tools. Everything
    /// else is as with a real one.
    ///
    /// ```
    /// # async fn example() {
    /// use mesh::llm::wire::Reply;
    /// use mesh::{Llm, Result};
    ///
    /// async fn rhyme(word: String, llm: Llm<String>) -> Result<String> {
    ///     Ok(llm.ask(format!("What rhymes with {word}?")).await?)
    /// }
    ///
    /// let llm = Llm::fake(|_request| async { Ok(Reply::text("house")) });
    /// assert_eq!(rhyme("mouse".into(), llm).await.unwrap(), "house");
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(example());
    /// ```
    pub fn fake<F>(answer: impl Fn(wire::Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = BodyResult<Reply>> + Send + 'static,
    {
        Self {
            models: models::fake(answer),
            home: None,
            prompt: None,
            expected: Expected::of::<T>().map(Arc::new),
            values: Map::new(),
            history: Vec::new(),
            limits: Limits::default(),
            params: ModelParams::default(),
            timeout: None,
            answer: PhantomData,
        }
    }
}

impl Llm<String> {
    /// Asks, and gives the words of the answer as they come; what the model says before it calls tools is among them.
    /// When whoever speaks is lost, another provider begins anew, and a [`Piece::Restart`](super::Piece::Restart) says
    /// so. The last item is what ended it, if that was an error. Dropping the stream withdraws the question.
    pub fn stream(self, question: impl Into<Question>) -> LlmStream {
        let question = question.into();
        LlmStream::produce(move |mut words| async move {
            self.run(question, Some(&mut words)).await?;
            Ok(())
        })
    }
}

/// What [`Llm::new`] is made of.
pub(crate) struct Parts {
    pub(crate) agent: Arc<str>,
    pub(crate) tool: Arc<str>,
    pub(crate) settings: Arc<LlmSettings>,
    pub(crate) descriptions: Arc<Descriptions>,
    pub(crate) bound: Bound,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    pub(crate) arguments: Bytes,
}

/// The same providers where they stream.
fn streaming(whole: &Selector) -> Selector {
    let excluded = Term::One(Wish::Excluded(STREAM_TAG.into()));
    let others = whole.tags.terms().iter().filter(|term| **term != excluded).cloned();
    let tags = others.chain([Term::One(Wish::Required(STREAM_TAG.into()))]).collect();
    Selector { tags, ..whole.clone() }
}

impl From<&str> for Question {
    fn from(text: &str) -> Self {
        Self(vec![Message::user(text)])
    }
}

impl From<String> for Question {
    fn from(text: String) -> Self {
        Self(vec![Message::user(text)])
    }
}

impl From<Message> for Question {
    fn from(message: Message) -> Self {
        Self(vec![message])
    }
}

impl From<Vec<Message>> for Question {
    fn from(messages: Vec<Message>) -> Self {
        Self(messages)
    }
}

impl<T> fmt::Debug for Llm<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a model: {:?}", self.models)
    }
}
