//! Asking models: whoever of the mesh provides one, the next one when that is busy or lost, and waiting only when there
//! is nobody else.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use mesh_gossip::catalog::Tool;
use mesh_gossip::resolve::Query;
use mesh_node::call::options::CallOptions;
use mesh_node::call::{CallError, Caller, Request, Target};
use mesh_node::context::{Outlet, Scope, Update};
use mesh_node::tool::Payload;
use mesh_node::trace::{Outcome, Running, SpanKind, TraceContext, Usage};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::error::Why;
use super::transcript::Asking;
use super::wire::{self, Frame, Reply, Trouble, vendor_of};
use super::words::Words;
use crate::error::Result as BodyResult;
use crate::received::Received;

/// How many providers one question is taken to that fail, rather than being busy or lost.
const FAILURES: u32 = 4;

/// How often a question is asked anew when whoever was asked was lost with it.
const LOST: u32 = 3;

/// How long the next look at busy providers is put off at most: another one may join meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How long it is put off at least, whatever providers say.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// How many frames a provider is ahead.
const AHEAD: usize = 64;

/// What plays a model in a test.
pub(crate) type Fake = Arc<dyn Fn(wire::Request) -> BoxFuture<'static, BodyResult<Reply>> + Send + Sync>;

/// Who is asked.
#[derive(Clone)]
pub(crate) enum Models {
    /// Providers in the mesh.
    Mesh(Box<Providers>),
    /// A test.
    Fake(Fake),
}

/// The providers that will do.
#[derive(Clone)]
pub(crate) struct Providers {
    pub(crate) caller: Caller,
    /// Those that give whole replies.
    pub(crate) whole: Arc<Query>,
    /// Those that stream theirs.
    pub(crate) pieces: Arc<Query>,
    pub(crate) options: CallOptions,
    pub(crate) scope: Scope,
}

/// What a model answered, and whose it is.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) vendor: Option<String>,
}

impl Models {
    /// The same in the course of another scope.
    pub(crate) fn within(self, scope: &Scope) -> Self {
        match self {
            Self::Mesh(providers) => Self::Mesh(Box::new(Providers { scope: scope.clone(), ..*providers })),
            fake @ Self::Fake(_) => fake,
        }
    }

    /// Asks until there is an answer, or none is to be had before `deadline`. What is streamed goes into `words` as it
    /// comes. Dropping the future withdraws the question.
    pub(crate) async fn ask(
        &self,
        asking: &Asking,
        words: Option<&mut Words>,
        deadline: Instant,
    ) -> Result<Answered, Why> {
        match self {
            Self::Mesh(providers) => providers.ask(asking, words, deadline).await,
            Self::Fake(fake) => played(fake, asking, words).await,
        }
    }
}

impl Providers {
    async fn ask(&self, asking: &Asking, mut words: Option<&mut Words>, deadline: Instant) -> Result<Answered, Why> {
        let asked = Arc::new(asking.clone());
        let mut lost = 0;
        loop {
            let error = match self.attempt(&asked, words.as_deref_mut()).await? {
                Ok(answered) => return Ok(answered),
                Err(error) => error,
            };
            let was_heard = words.as_deref().is_some_and(Words::has_spoken);
            if let CallError::TimedOut { after } = error {
                return Err(Why::Deadline { after });
            }
            if let Some(wait) = busy(&error) {
                let now = Instant::now();
                if now + wait >= deadline {
                    return Err(Why::Busy { retry_after: wait, said: error.to_string() });
                }
                sleep(wait.clamp(LEAST_WAIT, LOOK_AGAIN)).await;
                continue;
            }
            let is_loss = matches!(error, CallError::MayHaveRun { .. } | CallError::Unreachable { .. });
            // A question does nothing but cost tokens: it may be asked again whatever became of it.
            lost += 1;
            if !(is_loss || was_heard) || lost > LOST || Instant::now() >= deadline {
                return Err(Why::Provider(error));
            }
            if let Some(words) = words.as_deref_mut() {
                words.restart(&error.to_string()).await?;
            }
        }
    }

    /// Asks once: the best that will do, and the next ones as far as nobody has answered.
    async fn attempt(
        &self,
        asking: &Arc<Asking>,
        words: Option<&mut Words>,
    ) -> Result<Result<Answered, CallError>, Why> {
        let streams = words.is_some() && self.caller.resolve(self.pieces.selector()).best().is_some();
        let query = if streams { &self.pieces } else { &self.whole };
        let vendor: Arc<Mutex<Option<String>>> = Arc::default();
        let at = TraceContext::below(self.scope.trace.as_ref());
        let request = self.request(query, asking, &vendor, &at);
        let name = query.selector().capability.clone();
        let parent = self.scope.trace.map(|trace| trace.span_id);
        let mut span = Running::begin(self.caller.ring(), SpanKind::Model, &at, parent, &name);
        let answered = match words {
            Some(words) if streams => self.listen(request, words).await?,
            words => match self.caller.call(request).await {
                Ok(served) => {
                    let reply = read(served.payload, served.agent.as_str())?;
                    if let Some(words) = words {
                        words.say(&reply.content).await?;
                    }
                    Ok(reply)
                }
                Err(error) => Err(error),
            },
        };
        let chosen = vendor.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answered {
            Ok(reply) => {
                span.span().usage = reply.usage.as_ref().map(usage);
                span.end(Outcome::Ok, "");
                let said = reply.usage.as_ref().and_then(|usage| vendor_of(&usage.model)).map(str::to_owned);
                Ok(Ok(Answered { reply, vendor: chosen.or(said) }))
            }
            Err(error) => {
                span.end(Outcome::Error, error.to_string());
                Ok(Err(error))
            }
        }
    }

    fn request(
        &self,
        query: &Arc<Query>,
        asking: &Arc<Asking>,
        vendor: &Arc<Mutex<Option<String>>>,
        at: &TraceContext,
    ) -> Request {
        let (asking, vendor) = (Arc::clone(asking), Arc::clone(vendor));
        let tailor = move |tool: &Tool| {
            let own = vendor_of_tool(tool);
            let arguments = asking.written(own.as_deref());
            *vendor.lock().unwrap_or_else(PoisonError::into_inner) = own;
            arguments
        };
        let options = CallOptions {
            idempotent: Some(true),
            retry_count: Some(self.options.retry_count.unwrap_or(FAILURES)),
            ..self.options.clone()
        };
        // A session keeps calls with whoever has its state. Models have none, and others may stand in for a busy one.
        let scope = Scope { session: None, trace: Some(*at), ..self.scope.clone() };
        Request {
            options,
            scope,
            tailor: Some(Arc::new(tailor)),
            ..Request::new(Target::Capability(Arc::clone(query)), "{}")
        }
    }

    /// Takes an answer in pieces, which go into `words` as they come.
    async fn listen(&self, request: Request, words: &mut Words) -> Result<Result<Reply, CallError>, Why> {
        let (queue, mut updates) = mpsc::channel(AHEAD);
        let call = self.caller.call_streaming(request, Outlet::to(queue));
        tokio::pin!(call);
        let mut heard = Heard::default();
        let served = loop {
            tokio::select! {
                biased;
                Some(update) = updates.recv() => heard.take(update, words).await?,
                served = &mut call => break served,
            }
        };
        while let Ok(update) = updates.try_recv() {
            heard.take(update, words).await?;
        }
        let served = match served {
            Ok(served) => served,
            Err(error) => return Ok(Err(error)),
        };
        if !heard.any {
            // Nothing came in pieces: all of it is in the result.
            let whole = String::received(served.payload).map_err(|why| no_reply(served.agent.as_str(), why))?;
            for frame in serde_json::Deserializer::from_str(&whole).into_iter::<Frame>() {
                let Ok(frame) = frame else { break };
                heard.frame(frame, words).await?;
            }
            if !heard.any {
                heard.said(&whole, words).await?;
            }
        }
        Ok(Ok(heard.reply))
    }
}

/// What was heard of a streamed answer.
#[derive(Default)]
struct Heard {
    reply: Reply,
    any: bool,
}

impl Heard {
    async fn take(&mut self, update: Update, words: &mut Words) -> Result<(), Why> {
        match update {
            Update::Chunk(text) => match serde_json::from_slice::<String>(&text) {
                Ok(frame) => self.hear(&frame, words).await,
                // A provider over HTTP may send the frame as it is.
                Err(_) => self.hear(&String::from_utf8_lossy(&text), words).await,
            },
            Update::Progress { message: Some(frame), .. } if Frame::read(&frame).is_some() => {
                self.hear(&frame, words).await
            }
            _ => Ok(()),
        }
    }

    async fn hear(&mut self, text: &str, words: &mut Words) -> Result<(), Why> {
        match Frame::read(text) {
            Some(frame) => self.frame(frame, words).await,
            None => self.said(text, words).await,
        }
    }

    async fn frame(&mut self, frame: Frame, words: &mut Words) -> Result<(), Why> {
        match frame {
            Frame::Chunk { content } => self.said(&content, words).await,
            Frame::End(end) => {
                self.any = true;
                self.reply.tool_calls = end.tool_calls;
                self.reply.usage = end.usage;
                self.reply.stop_reason = end.stop_reason;
                self.reply.extra = end.extra;
                Ok(())
            }
        }
    }

    async fn said(&mut self, text: &str, words: &mut Words) -> Result<(), Why> {
        self.any = true;
        self.reply.content.push_str(text);
        words.say(text).await
    }
}

async fn played(fake: &Fake, asking: &Asking, words: Option<&mut Words>) -> Result<Answered, Why> {
    let request: FakeRequest = serde_json::from_slice(&asking.written(None))
        .map_err(|why| no_reply("a fake", format!("the request cannot be read: {why}")))?;
    let reply = fake(request.request).await.map_err(|error| no_reply("a fake", error.to_string()))?;
    if let Some(words) = words {
        words.say(&reply.content).await?;
    }
    Ok(Answered { reply, vendor: None })
}

#[derive(serde::Deserialize)]
struct FakeRequest {
    request: wire::Request,
}

/// The reply in `payload`. A provider that gives nothing but a text has said that.
fn read(payload: Payload, from: &str) -> Result<Reply, Why> {
    match Reply::received(payload.clone()) {
        Ok(reply) => Ok(reply),
        Err(why) => match String::received(payload) {
            Ok(content) => Ok(Reply { content, ..Reply::default() }),
            Err(_) => Err(no_reply(from, why)),
        },
    }
}

fn no_reply(from: &str, why: String) -> Why {
    Why::NoReply { from: from.to_owned(), why }
}

/// How long to wait, if all that is wrong is that everybody is busy.
fn busy(error: &CallError) -> Option<Duration> {
    match error {
        CallError::Fault { fault, .. } => Trouble::of(fault)?.retry_after(),
        _ => None,
    }
}

/// Whose models a provider's tool runs.
fn vendor_of_tool(tool: &Tool) -> Option<String> {
    let said = |key: &str| tool.kwargs.get(key).and_then(Value::as_str);
    said("vendor").or_else(|| said("model").and_then(vendor_of)).map(str::to_owned)
}

pub(super) fn usage(usage: &wire::Usage) -> Usage {
    Usage {
        model: usage.model.as_str().into(),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        cost_usd: usage.cost_usd,
    }
}

/// A model that `answer` plays.
pub(crate) fn fake<F>(answer: impl Fn(wire::Request) -> F + Send + Sync + 'static) -> Models
where
    F: Future<Output = BodyResult<Reply>> + Send + 'static,
{
    Models::Fake(Arc::new(move |request| Box::pin(answer(request))))
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh(providers) => write!(f, "{}", providers.whole.selector()),
            Self::Fake(_) => f.write_str("a fake"),
        }
    }
}
