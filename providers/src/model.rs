//! What a provider needs of a model. Vendors' clients stay behind it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use mesh::Sender;
use mesh::llm::wire::{End, Frame, Reply, Request};

use crate::failure::Failure;

/// A model that answers: a vendor's, or the local one.
#[async_trait]
pub(crate) trait LanguageModel: Send + Sync + 'static {
    /// One whole answer. Dropping the future ends the request to the vendor, which may bill what it did.
    ///
    /// # Errors
    /// [`Failure`].
    async fn answer(&self, request: &Request) -> Result<Reply, Failure>;

    /// The same, with its words said as they come; what else there is to say comes at the end.
    ///
    /// # Errors
    /// [`Failure`], which may come after words.
    async fn stream(&self, request: &Request, words: &Words) -> Result<End, Failure>;

    /// Asks for something that costs nothing, to learn whether the vendor is there and knows us.
    ///
    /// # Errors
    /// [`Failure`].
    async fn check(&self) -> Result<(), Failure>;
}

/// Where the words of a streamed answer go.
#[derive(Debug)]
pub(crate) struct Words {
    frames: Sender<String>,
    said: Mutex<String>,
}

impl Words {
    /// They become chunks among `frames`.
    pub(crate) fn to(frames: Sender<String>) -> Self {
        Self { frames, said: Mutex::default() }
    }

    /// Says `words` as soon as whoever asked has room for them.
    ///
    /// # Errors
    /// [`Failure::Gone`].
    pub(crate) async fn say(&self, words: &str) -> Result<(), Failure> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push_str(words);
        self.frames.send(Frame::chunk(words).to_text()).await.map_err(|_| Failure::Gone)
    }

    /// All that was said.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
