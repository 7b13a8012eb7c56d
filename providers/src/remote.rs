//! Vendors over HTTP, through genai. Nothing of that crate is seen outside of this module.

mod answer;
mod failure;
mod options;
mod question;

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatOptions, ChatRequest, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, ModelIden, ServiceTarget};
use mesh::llm::wire::{End, Reply, Request};

use crate::failure::Failure;
use crate::model::{LanguageModel, Words};
use crate::vendor::{Access, ModelName, NotReachable, Vendor};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a vendor may be silent in the midst of an answer. Models that think are silent for a while.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

/// The most bytes of the text of one answer.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// A vendor's model.
pub(crate) struct Remote {
    name: ModelName,
    access: Access,
    client: Client,
    silence: Duration,
}

/// A request as genai takes it.
struct Asked {
    target: ServiceTarget,
    chat: ChatRequest,
    options: ChatOptions,
    /// The vendor, and the model that is asked in the end.
    name: ModelName,
}

impl Remote {
    /// The model `name`, reached by `access`, which may be silent for as long as `silence`. Sends nothing.
    pub(crate) fn new(name: ModelName, access: Access, silence: Duration) -> Result<Self, NotReachable> {
        // Fails where the program has chosen its cryptography already; that choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(silence).tcp_nodelay(true);
        let http = http.build().map_err(|error| NotReachable::Client(error.to_string()))?;
        let client = Client::builder().with_reqwest(http).build();
        let client = client.map_err(|error| NotReachable::Client(error.to_string()))?;
        Ok(Self { name, access, client, silence })
    }

    /// The request for the vendor, or what is wrong with it.
    fn asked(&self, request: &Request) -> Result<Asked, Failure> {
        let name = self.wanted(request)?;
        let chat = question::chat(request, name.vendor, &name.model)?;
        let mut options = options::of(request, &name)?;
        options.stream_read_timeout = Some(self.silence);
        Ok(Asked { target: self.target(&name), chat, options, name })
    }

    /// The model that the request names, which is of our vendor, or ours.
    fn wanted(&self, request: &Request) -> Result<ModelName, Failure> {
        let Some(wanted) = request.model_params.as_ref().and_then(|params| params.model.as_deref()) else {
            return Ok(self.name.clone());
        };
        // A name with slashes need not begin with a vendor: vLLM's do not.
        let named: Option<ModelName> = wanted.parse().ok();
        match named {
            Some(named) if named.vendor == self.name.vendor => Ok(named),
            Some(named) if self.is_of_one_vendor() => Err(Failure::rejected(format!(
                "{wanted} is a model of {}, and this provider asks {}: leave the model out, or select another provider",
                named.vendor, self.name.vendor
            ))),
            _ => Ok(ModelName { vendor: self.name.vendor, model: wanted.to_owned() }),
        }
    }

    fn is_of_one_vendor(&self) -> bool {
        matches!(self.name.vendor, Vendor::Anthropic | Vendor::OpenAi | Vendor::Gemini)
    }

    fn target(&self, name: &ModelName) -> ServiceTarget {
        let key = self.access.key.as_ref().map_or("none", |key| key.reveal());
        ServiceTarget {
            endpoint: Endpoint::from_owned(self.access.url.as_str()),
            // Servers in one's own house ignore it.
            auth: AuthData::from_single(key),
            model: ModelIden::new(adapter(name.vendor, &name.model), &*options::name_for_genai(name)),
        }
    }

    fn failure(&self, error: &genai::Error) -> Failure {
        let strike = |text: &str| self.access.key.as_ref().map_or_else(|| text.to_owned(), |key| key.strike(text));
        failure::of(error, self.name.vendor, strike)
    }
}

/// The language that the vendor speaks about `model`.
fn adapter(vendor: Vendor, model: &str) -> AdapterKind {
    match vendor {
        Vendor::Anthropic => AdapterKind::Anthropic,
        Vendor::Gemini => AdapterKind::Gemini,
        // Newer models take tools in OpenAI's responses only.
        Vendor::OpenAi => match AdapterKind::from_model(model) {
            Ok(AdapterKind::OpenAIResp) => AdapterKind::OpenAIResp,
            _ => AdapterKind::OpenAI,
        },
        _ => AdapterKind::OpenAI,
    }
}

#[async_trait]
impl LanguageModel for Remote {
    async fn answer(&self, request: &Request) -> Result<Reply, Failure> {
        let Asked { target, chat, options, name } = self.asked(request)?;
        match self.client.exec_chat(target, chat, Some(&options)).await {
            Ok(answered) => answer::reply(answered, &name),
            Err(error) => answer::mended(&error, &name).ok_or_else(|| self.failure(&error)),
        }
    }

    async fn stream(&self, request: &Request, words: &Words) -> Result<End, Failure> {
        let Asked { target, chat, options, name } = self.asked(request)?;
        let answered = self.client.exec_chat_stream(target, chat, Some(&options)).await;
        let mut events = answered.map_err(|error| self.failure(&error))?.stream;
        let mut said = 0;
        while let Some(event) = events.next().await {
            match event.map_err(|error| self.failure(&error))? {
                ChatStreamEvent::Chunk(chunk) if !chunk.content.is_empty() => {
                    said += chunk.content.len();
                    if said > MAX_TEXT_BYTES {
                        return Err(Failure::unavailable(format!("the answer is longer than {MAX_TEXT_BYTES} bytes")));
                    }
                    words.say(&chunk.content).await?;
                }
                ChatStreamEvent::End(end) => return answer::end(end, &name),
                _ => {}
            }
        }
        Err(Failure::unavailable(format!("{} broke off in the midst of its answer", name.vendor)))
    }

    async fn check(&self) -> Result<(), Failure> {
        let target = self.target(&self.name);
        let asked = self.client.all_model_names(target.model.adapter_kind, (target.endpoint, target.auth)).await;
        match asked {
            Err(error) => Err(self.failure(&error)),
            Ok(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.name, self.access.url)
    }
}

#[cfg(test)]
pub(crate) mod tests;
