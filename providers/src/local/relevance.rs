//! Which tools a conversation is about.

use std::collections::BTreeSet;

use mesh::llm::wire::ToolSpec;

use super::conversation::Conversation;

/// So many tools are all called when the words of the conversation point to none of them.
const FEW: usize = 4;

/// How many words of a tool's description have to occur when none of its name does.
const WORDS_OF_DESCRIPTION: usize = 2;

/// Words that say nothing about what a tool is for.
const EMPTY: [&str; 40] = [
    "the", "and", "for", "with", "from", "that", "this", "are", "was", "you", "your", "get", "set", "find", "search",
    "list", "look", "tool", "use", "using", "give", "given", "return", "agent", "all", "any", "can", "will", "what",
    "which", "when", "where", "who", "how", "its", "has", "have", "not", "run", "call",
];

/// The tools to call now, in their order: those that the conversation is about and that were not called yet.
pub(super) fn due<'a>(tools: &'a [ToolSpec], conversation: &Conversation) -> Vec<&'a ToolSpec> {
    let is_new = |tool: &ToolSpec| !conversation.called.contains(&tool.function.name);
    if !tools.iter().any(is_new) {
        return Vec::new();
    }
    let mut said = words(&conversation.system);
    said.extend(words(conversation.question()));
    let mut relevant: Vec<&ToolSpec> = tools.iter().filter(|tool| is_about(tool, &said)).collect();
    if relevant.is_empty() && tools.len() <= FEW {
        relevant = tools.iter().collect();
    }
    relevant.retain(|tool| is_new(tool));
    relevant
}

fn is_about(tool: &ToolSpec, said: &BTreeSet<String>) -> bool {
    let of_name = words(&tool.function.name);
    let of_description = words(&tool.function.description);
    !of_name.is_disjoint(said) || of_description.intersection(said).count() >= WORDS_OF_DESCRIPTION
}

/// The words of a text that say something, without their endings.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_alphanumeric()).map(str::to_lowercase);
    words.filter(|word| word.chars().count() > 2 && !EMPTY.contains(&word.as_str())).map(stem).collect()
}

fn stem(word: String) -> String {
    for ending in ["ies", "ing", "es", "s"] {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.chars().count() > 2) {
            return stem.to_owned();
        }
    }
    word
}
