//! What a provider does with a request: lets it through, has the model answer, and accounts for it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mesh::llm::wire::{End, Frame, ModelParams, Reply, Request, Usage};
use mesh::{Context, Error, Stream, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::gate::Gate;
use crate::ledger::{Ledger, Line};
use crate::meters::Meters;
use crate::model::{LanguageModel, Words};
use crate::price::Prices;
use crate::rounds::{Rounds, Said};

/// How long a vendor may take to say whether it knows us.
const CHECK: Duration = Duration::from_secs(3);

/// One provider at work.
pub(crate) struct Service {
    pub(crate) model: Box<dyn LanguageModel>,
    /// The variable that holds its key.
    pub(crate) variable: String,
    /// What counts where a request says nothing.
    pub(crate) defaults: ModelParams,
    pub(crate) prices: Prices,
    pub(crate) ledger: Ledger,
    pub(crate) gate: Gate,
    pub(crate) meters: Meters,
}

/// What calls took, as a provider tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// A line for each asker and model.
    pub lines: Vec<Line>,
    /// Of which day the prices are.
    pub prices_as_of: String,
}

impl Service {
    /// One whole answer; where the request expects it, the one that comes of calling its tools.
    pub(crate) async fn answer(&self, request: Request, context: &Context) -> Result<Reply, Error> {
        let mut request = self.with_defaults(request);
        let mut rounds = Rounds::of(&request, context);
        loop {
            let mut reply = self.reply(&request).await?;
            let Some(rounds) = &mut rounds else { return Ok(reply) };
            if rounds.next(&mut request, Said::of(&reply)).await.is_none() {
                reply.stop_reason = rounds.reason(!reply.tool_calls.is_empty()).or(reply.stop_reason);
                reply.usage = Some(rounds.used());
                reply.tool_calls.clear();
                return Ok(reply);
            }
        }
    }

    /// The same as frames, each sent when it is there.
    pub(crate) fn stream(self: Arc<Self>, request: Request, context: Context) -> Stream<String> {
        Stream::produce(move |frames| async move {
            let mut request = self.with_defaults(request);
            let mut rounds = Rounds::of(&request, &context);
            let mut is_begun = false;
            loop {
                let words = Words::to(frames.clone());
                let mut end = self.words(&request, &words, is_begun).await?;
                let content = words.said();
                is_begun |= !content.is_empty();
                let is_over = match &mut rounds {
                    Some(rounds) => {
                        let (tool_calls, usage) = (end.tool_calls.clone(), end.usage.clone());
                        let said = Said { content, tool_calls, usage, extra: end.extra.clone() };
                        let is_over = rounds.next(&mut request, said).await.is_none();
                        end.stop_reason = rounds.reason(!end.tool_calls.is_empty()).or(end.stop_reason);
                        end.usage = Some(rounds.used());
                        end.tool_calls.clear();
                        is_over
                    }
                    None => true,
                };
                if is_over {
                    frames.send(Frame::End(end).to_text()).await?;
                    return Ok(());
                }
            }
        })
    }

    /// What the model says to `request`.
    async fn reply(&self, request: &Request) -> Result<Reply, Error> {
        let mut counted = Counted::begin(&self.meters);
        let answered = match self.gate.enter() {
            Ok(()) => self.gate.learn(self.model.answer(request).await),
            Err(busy) => Err(busy),
        };
        counted.ended(answered.as_ref().err());
        let mut reply = answered.map_err(|failure| self.error(&failure))?;
        self.account(request, reply.usage.as_mut());
        Ok(reply)
    }

    /// The same, word by word, after others where it `is_begun`.
    async fn words(&self, request: &Request, words: &Words, is_begun: bool) -> Result<End, Error> {
        let mut counted = Counted::begin(&self.meters);
        let answered = match self.gate.enter() {
            Ok(()) => self.gate.learn(self.model.stream(request, words).await),
            Err(busy) => Err(busy),
        };
        counted.ended(answered.as_ref().err());
        let mut end = answered.map_err(|failure| match is_begun || !words.said().is_empty() {
            // Nobody may conclude that nothing was done.
            true => self.error(&Failure::unavailable(format!("{failure}; its words so far are void"))),
            false => self.error(&failure),
        })?;
        self.account(request, end.usage.as_mut());
        Ok(end)
    }

    /// What was used in the last so many seconds, of everything when nothing is said.
    pub(crate) fn costs(&self, last_seconds: Option<u64>) -> Costs {
        let since = last_seconds.and_then(|last| SystemTime::now().checked_sub(Duration::from_secs(last)));
        let lines = self.ledger.lines(since.unwrap_or(SystemTime::UNIX_EPOCH));
        Costs { lines, prices_as_of: self.prices.as_of().to_owned() }
    }

    /// How it fares. Asked about twice a second, it also sees to what is due.
    pub(crate) async fn health(&self) -> Verdict {
        self.ledger.settle();
        if self.gate.is_check_due() {
            match tokio::time::timeout(CHECK, self.model.check()).await {
                // Only these two are about us; servers that have no such list say so.
                Ok(outcome @ (Ok(()) | Err(Failure::Unauthorized { .. }))) => drop(self.gate.learn(outcome)),
                Ok(Err(why)) => tracing::info!(%why, "whether the vendor knows us will show"),
                Err(_) => tracing::info!("the vendor does not say whether it knows us"),
            }
        }
        self.gate.verdict(&self.variable)
    }

    fn with_defaults(&self, mut request: Request) -> Request {
        if !self.defaults.is_empty() {
            request.model_params = Some(request.model_params.take().unwrap_or_default().over(&self.defaults));
        }
        request
    }

    fn account(&self, request: &Request, usage: Option<&mut Usage>) {
        let Some(usage) = usage else { return };
        usage.cost_usd = self.prices.cost(usage);
        self.meters.used(usage);
        self.ledger.add(request.caller_agent.as_deref(), usage);
    }

    fn error(&self, failure: &Failure) -> Error {
        failure.trouble(&self.variable).error(failure.to_string())
    }
}

/// An answer that is counted however it ends, also when nobody waits for it any more.
struct Counted<'a> {
    meters: &'a Meters,
    began: Instant,
    outcome: &'static str,
}

impl<'a> Counted<'a> {
    fn begin(meters: &'a Meters) -> Self {
        Self { meters, began: Instant::now(), outcome: Failure::Gone.word() }
    }

    fn ended(&mut self, failure: Option<&Failure>) {
        self.outcome = failure.map_or("ok", Failure::word);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.meters.ended(self.outcome, self.began.elapsed());
    }
}
