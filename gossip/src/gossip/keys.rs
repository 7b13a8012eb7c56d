//! Under which keys a member says what the catalog is made of. Everything else is the embedder's own.

use crate::catalog::AgentId;
use crate::record::{Key, NotAKey};
use crate::schema::Digest;

const OFFERS: &str = "offers/";
const HEALTH: &str = "health/";
const SCHEMA: &str = "schema/";

/// What a record is about, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Offers(AgentId),
    Health(AgentId),
    Schema(Digest),
}

/// Where a member says what `agent` offers; see [`crate::catalog::Offers::encode`].
///
/// # Errors
/// [`NotAKey`] when the agent's id is too long for a key: at most 121 bytes are not.
pub fn offers(agent: &AgentId) -> Result<Key, NotAKey> {
    format!("{OFFERS}{}", agent.as_str()).parse()
}

/// Where a member says how `agent` fares; see [`crate::catalog::Health::encode`].
///
/// # Errors
/// [`NotAKey`] when the agent's id is too long for a key: at most 121 bytes are not.
pub fn health(agent: &AgentId) -> Result<Key, NotAKey> {
    format!("{HEALTH}{}", agent.as_str()).parse()
}

/// Where a member keeps the text of the canonical schema called `digest`; several may.
pub fn schema(digest: &Digest) -> Key {
    format!("{SCHEMA}{digest}").parse().expect("a digest is short and visible")
}

/// What a record under `key` is about, if the catalog is made of such.
pub(super) fn subject(key: &Key) -> Option<Subject> {
    let (kind, name) = key.as_str().split_at_checked(OFFERS.len())?;
    match kind {
        OFFERS => name.parse().ok().map(Subject::Offers),
        HEALTH => name.parse().ok().map(Subject::Health),
        SCHEMA => name.parse().ok().map(Subject::Schema),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::{AgentId, Digest, Key, Subject, health, offers, schema, subject};

    #[test]
    fn a_key_says_what_its_record_is_about() {
        let agent: AgentId = "weather-3f2a9c10".parse().unwrap();
        let digest = Digest::of(&json!({"type": "object"}));
        assert_eq!(subject(&offers(&agent).unwrap()), Some(Subject::Offers(agent.clone())));
        assert_eq!(subject(&health(&agent).unwrap()), Some(Subject::Health(agent)));
        assert_eq!(subject(&schema(&digest)), Some(Subject::Schema(digest)));
        offers(&"a".repeat(121).parse().unwrap()).unwrap();
        offers(&"a".repeat(122).parse().unwrap()).unwrap_err();
        for other in ["offers/", "offers/Not an agent", "schema/sha256:12", "other/x", "x"] {
            assert_eq!(other.parse::<Key>().ok().and_then(|key| subject(&key)), None, "{other}");
        }
    }
}
