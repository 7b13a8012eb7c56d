//! Results that are no JSON value: images, audio, links, several pieces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mesh_node::tool::{Fault, FaultKind, Payload};
use rmcp::model::{CallToolResult, ContentBlock, Resource};

/// What a tool returns, or a dependency gives, as MCP content.
///
/// ```
/// use mesh::Content;
/// let chart = Content::text("sales of May").image(b"\x89PNG...", "image/png");
/// assert_eq!(chart.blocks().len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Content(CallToolResult);

impl Content {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(CallToolResult::success(Vec::new()))
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().and_text(text)
    }

    /// Another text.
    #[must_use]
    pub fn and_text(self, text: impl Into<String>) -> Self {
        self.block(ContentBlock::text(text.into()))
    }

    /// An image, with its media type.
    #[must_use]
    pub fn image(self, data: impl AsRef<[u8]>, mime: impl Into<String>) -> Self {
        self.block(ContentBlock::image(STANDARD.encode(data), mime.into()))
    }

    /// Sound, with its media type.
    #[must_use]
    pub fn audio(self, data: impl AsRef<[u8]>, mime: impl Into<String>) -> Self {
        self.block(ContentBlock::audio(STANDARD.encode(data), mime.into()))
    }

    /// A link to a resource, by its URI and a name.
    #[must_use]
    pub fn link(self, uri: impl Into<String>, name: impl Into<String>) -> Self {
        self.block(ContentBlock::resource_link(Resource::new(uri.into(), name.into())))
    }

    /// Any other piece, as rmcp has it.
    #[must_use]
    pub fn block(mut self, block: ContentBlock) -> Self {
        self.0.content.push(block);
        self
    }

    /// The pieces.
    pub fn blocks(&self) -> &[ContentBlock] {
        &self.0.content
    }

    /// MCP's own result, with structured content and metadata.
    pub fn into_result(self) -> CallToolResult {
        self.0
    }

    pub(crate) fn into_payload(self) -> Result<Payload, Fault> {
        let text = serde_json::to_vec(&self.0);
        let text =
            text.map_err(|error| Fault::new(FaultKind::Failed, format!("the result cannot be JSON: {error}")))?;
        Ok(Payload::Content(Bytes::from(text)))
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::new()
    }
}

impl From<CallToolResult> for Content {
    fn from(result: CallToolResult) -> Self {
        Self(result)
    }
}
