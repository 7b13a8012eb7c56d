//! What the server of an agent can do: what the author's handler can, and tools that come and go.

use rmcp::model::{JsonObject, ServerCapabilities};

/// `theirs` with what we add to it.
pub(super) fn with_ours(mut theirs: ServerCapabilities) -> ServerCapabilities {
    let mut tools = theirs.tools.unwrap_or_default();
    tools.list_changed = Some(true);
    theirs.tools = Some(tools);
    theirs.logging.get_or_insert_with(JsonObject::new);
    theirs
}
