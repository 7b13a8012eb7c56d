//! What was said so far, sorted.

use std::collections::BTreeMap;

use mesh::llm::wire::{Request, Role};
use serde_json::Value;

/// A conversation as the local model reads it.
pub(super) struct Conversation {
    /// The instructions.
    pub(super) system: String,
    /// All that the user said, the newest last.
    pub(super) user: Vec<String>,
    /// The tools that were called, in order; their ids are counted by it.
    pub(super) called: Vec<String>,
    /// What they gave, by name, in order.
    pub(super) results: Vec<(String, Value)>,
}

impl Conversation {
    pub(super) fn of(request: &Request) -> Self {
        let mut read = Self { system: String::new(), user: Vec::new(), called: Vec::new(), results: Vec::new() };
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for message in &request.messages {
            match message.role {
                Role::System => {
                    read.system.push_str(&message.text());
                    read.system.push('\n');
                }
                Role::User => read.user.push(message.text()),
                Role::Assistant => {
                    for call in &message.tool_calls {
                        names.insert(&call.id, &call.function.name);
                        read.called.push(call.function.name.clone());
                    }
                }
                Role::Tool => {
                    let id = message.tool_call_id.as_deref().unwrap_or_default();
                    let name = names.get(id).copied().unwrap_or("a tool");
                    let text = message.text();
                    let result = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    read.results.push((name.to_owned(), result));
                }
            }
        }
        read
    }

    /// What the user wants now.
    pub(super) fn question(&self) -> &str {
        self.user.last().map_or("", String::as_str)
    }
}
