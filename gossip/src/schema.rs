//! JSON Schemas of tools: one canonical text for all languages, a digest that names it, and the check whether a
//! producer's schema gives a consumer what it requires.
//!
//! Digests equal those of stock agents, mistakes included, because they are compared across languages. The structural
//! check is ours and does not inherit the mistakes (see [`subset`]).

pub mod canonical;
mod definitions;
mod name;
pub mod subset;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The most bytes of a canonical schema's text; larger bodies are neither published nor accepted.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The name of a canonical schema: the SHA-256 of its text. Prints as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text that is not a schema digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a schema digest is `sha256:` and 64 lower-case hex digits")]
pub struct NotADigest;

/// Bytes that are not the canonical schema they were said to be. Ask somebody else for the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Longer than [`MAX_BODY_BYTES`].
    #[error("the schema is longer than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The bytes have another digest.
    #[error("the schema is not the one that was asked for")]
    WrongDigest,
    /// Not JSON.
    #[error("the schema is not JSON")]
    NotJson,
}

/// Where the resolver finds canonical schemas by digest. Bodies are fetched elsewhere; what is not here yet is `None`.
pub trait SchemaBodies {
    /// The canonical schema that `digest` names, if it has arrived.
    fn body(&self, digest: &Digest) -> Option<Arc<Value>>;
}

impl SchemaBodies for BTreeMap<Digest, Arc<Value>> {
    fn body(&self, digest: &Digest) -> Option<Arc<Value>> {
        self.get(digest).cloned()
    }
}

/// Knows no schema: for selectors that match none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBodies;

impl SchemaBodies for NoBodies {
    fn body(&self, _: &Digest) -> Option<Arc<Value>> {
        None
    }
}

impl Digest {
    /// The digest of a schema that is canonical already.
    pub fn of(canonical: &Value) -> Self {
        Self::of_text(canonical::text(canonical).as_bytes())
    }

    fn of_text(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

/// Reads a canonical schema that somebody sent as the body of `digest`.
///
/// # Errors
/// [`BadBody`] when the bytes are not that body; nothing about the digest's owner follows from it.
pub fn read_body(bytes: &[u8], digest: &Digest) -> Result<Arc<Value>, BadBody> {
    if bytes.len() > MAX_BODY_BYTES {
        return Err(BadBody::TooLarge);
    }
    if Digest::of_text(bytes) != *digest {
        return Err(BadBody::WrongDigest);
    }
    serde_json::from_slice(bytes).map(Arc::new).map_err(|_| BadBody::NotJson)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").ok_or(NotADigest)?.as_bytes();
        if hex.len() != 64 {
            return Err(NotADigest);
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(digest))
    }
}

fn nibble(digit: u8) -> Result<u8, NotADigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotADigest),
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_is_pinned_and_survives_its_text() {
        let digest = Digest::of(&json!({"type": "integer"}));
        let text = "sha256:f0765dbf409c74f001806c446f2cf171d8c46b5b15779d54423dde921a4b0670";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(text.to_uppercase().parse::<Digest>(), Err(NotADigest));
        assert_eq!("sha256:é".parse::<Digest>(), Err(NotADigest));
    }

    #[test]
    fn a_body_is_taken_only_under_its_own_digest() {
        let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
        let text = canonical::text(&schema);
        let digest = Digest::of(&schema);
        assert_eq!(*read_body(text.as_bytes(), &digest).unwrap(), schema);
        assert_eq!(read_body(b"{}", &digest), Err(BadBody::WrongDigest));
        assert_eq!(read_body(&vec![b' '; MAX_BODY_BYTES + 1], &digest), Err(BadBody::TooLarge));
        assert_eq!(read_body(b"{", &Digest::of_text(b"{")), Err(BadBody::NotJson));
    }
}
