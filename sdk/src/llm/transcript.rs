//! What was said so far, and by which vendor's model.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::wire::{Message, ModelParams, ToolSpec, vendor_of};

/// One message, and whose model said it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) message: Message,
    pub(crate) vendor: Option<String>,
}

/// Everything that was said. Cheap to clone as messages go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transcript(Vec<Arc<Said>>);

/// What a model is asked, before it is known which vendor's it is.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) transcript: Transcript,
    pub(crate) tools: Arc<[ToolSpec]>,
    pub(crate) params: Arc<ModelParams>,
    /// The name of the agent that asks.
    pub(crate) asker: Option<Arc<str>>,
}

/// A request as it is written: [`super::wire::Request`] without owning anything.
#[derive(Serialize)]
struct Written<'a> {
    request: WrittenRequest<'a>,
}

#[derive(Serialize)]
struct WrittenRequest<'a> {
    messages: Vec<Cow<'a, Message>>,
    tools: Option<&'a [ToolSpec]>,
    model_params: Option<Cow<'a, ModelParams>>,
    context: Option<Value>,
    request_id: Option<&'a str>,
    caller_agent: Option<&'a str>,
}

impl Transcript {
    /// What somebody who is no model said.
    pub(crate) fn push(&mut self, message: Message) {
        self.0.push(Arc::new(Said { message, vendor: None }));
    }

    /// What a model of `vendor` said.
    pub(crate) fn push_from(&mut self, vendor: Option<&str>, message: Message) {
        self.0.push(Arc::new(Said { message, vendor: vendor.map(str::to_owned) }));
    }

    /// The messages without what only one vendor reads.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.0.iter().map(|said| said.message.clone().neutral()).collect()
    }

    fn for_vendor(&self, vendor: Option<&str>) -> Vec<Cow<'_, Message>> {
        let mut messages = Vec::with_capacity(self.0.len());
        for said in &self.0 {
            let is_own = vendor.is_some() && said.vendor.as_deref() == vendor;
            messages.push(if is_own || said.message.is_neutral() {
                Cow::Borrowed(&said.message)
            } else {
                Cow::Owned(said.message.clone().neutral())
            });
        }
        messages
    }
}

impl Asking {
    /// The arguments of a provider's tool: for a model of `vendor`, who is shown what other vendors' models said without
    /// their thoughts and signatures, and is not asked for another vendor's model.
    pub(crate) fn written(&self, vendor: Option<&str>) -> Bytes {
        let params = (!self.params.is_empty()).then(|| {
            let foreign = self.params.model.as_deref().and_then(vendor_of).is_some_and(|of| Some(of) != vendor);
            if foreign && vendor.is_some() {
                Cow::Owned(ModelParams { model: None, ..(*self.params).clone() })
            } else {
                Cow::Borrowed(&*self.params)
            }
        });
        let request = WrittenRequest {
            messages: self.transcript.for_vendor(vendor),
            tools: (!self.tools.is_empty()).then_some(&*self.tools),
            model_params: params.filter(|params| !params.is_empty()),
            context: None,
            request_id: None,
            caller_agent: self.asker.as_deref(),
        };
        serde_json::to_vec(&Written { request }).expect("texts, numbers and objects can be written").into()
    }
}
