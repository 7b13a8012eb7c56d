//! Names of agents.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::MemberId;

/// The most bytes of an agent's id.
pub const MAX_AGENT_ID_BYTES: usize = 253;

/// The id of one agent: lower-case letters, digits and inner hyphens, by custom its name and eight hex digits
/// (`weather-3f2a9c10`). The smallest decides between offers that are otherwise equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct AgentId(Arc<str>);

/// A text that is not an agent id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an agent id is at most {MAX_AGENT_ID_BYTES} lower-case letters, digits and inner hyphens")]
pub struct NotAnAgentId;

impl AgentId {
    /// The id of the native agent called `name` that runs as `member`.
    ///
    /// # Errors
    /// [`NotAnAgentId`] when the name has other characters than an id may have, or is too long.
    pub fn native(name: &str, member: &MemberId) -> Result<Self, NotAnAgentId> {
        format!("{name}-{}", member.short()).parse()
    }

    /// Whether the id says that it belongs to `member`, as every native agent's does.
    pub fn belongs_to(&self, member: &MemberId) -> bool {
        self.0.strip_suffix(&member.short()).is_some_and(|name| name.ends_with('-'))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is a name as agents, their ids and namespaces have it.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| inner(*byte)) && edge(bytes.first()) && edge(bytes.last())
}

impl TryFrom<Arc<str>> for AgentId {
    type Error = NotAnAgentId;

    fn try_from(text: Arc<str>) -> Result<Self, NotAnAgentId> {
        if text.len() > MAX_AGENT_ID_BYTES || !is_name(&text) {
            return Err(NotAnAgentId);
        }
        Ok(Self(text))
    }
}

impl FromStr for AgentId {
    type Err = NotAnAgentId;

    fn from_str(text: &str) -> Result<Self, NotAnAgentId> {
        Arc::<str>::from(text).try_into()
    }
}

impl From<AgentId> for Arc<str> {
    fn from(id: AgentId) -> Self {
        id.0
    }
}

impl Borrow<str> for AgentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn ids_are_lower_case_words_with_inner_hyphens() {
        for good in ["a", "weather-3f2a9c10", "0-9", "p988121-0"] {
            assert!(good.parse::<AgentId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "http://10.0.0.1:9000", "é", &"a".repeat(254)] {
            assert_eq!(bad.parse::<AgentId>(), Err(NotAnAgentId), "{bad}");
        }
    }

    #[test]
    fn a_native_id_belongs_to_its_member_and_no_other() {
        let member = MemberId::from_bytes([0xab; 16]);
        let id = AgentId::native("weather", &member).unwrap();
        assert_eq!(id.as_str(), "weather-abababab");
        assert!(id.belongs_to(&member));
        assert!(!id.belongs_to(&MemberId::from_bytes([1; 16])));
    }
}
