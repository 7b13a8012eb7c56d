//! How requests and answers of the administration are signed under the mesh key, at both ends.
//!
//! The key is `blake3::derive_key("mesh 2026 admin request", mesh key)`, every MAC keyed BLAKE3 over parts that are each
//! preceded by their length (8 bytes, little endian):
//!
//! | of | parts |
//! |---|---|
//! | a request | `request`, nonce, method, path with query, BLAKE3 of the body |
//! | an answer | `answer`, nonce, status as two bytes, BLAKE3 of the body |
//! | a frame of an answer that comes in frames | `frame`, nonce, its number as eight bytes, its kind, BLAKE3 of its body |
//!
//! A nonce is made by the node that is asked and is good for one request, so no clocks have to agree. A request carries
//! `Authorization: Mesh <name of the key>:<nonce>:<BLAKE3 of the body>:<MAC>`, all in hex: who cannot sign is refused
//! before its body is read. An answer carries its MAC in `mesh-answer`, and a nonce for the next request in `mesh-next`.
//!
//! Nothing of this is encrypted, but for what [`Signer::seal`] is used for: new mesh keys.

use std::fmt;
use std::str::FromStr;

use blake3::{Hash, Hasher};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce as CipherNonce};
use mesh_gossip::keyring::{KeyHash, MeshKey};

/// The header of an answer that holds its MAC.
pub const ANSWER_HEADER: &str = "mesh-answer";

/// The header of an answer that holds a nonce for the next request.
pub const NEXT_HEADER: &str = "mesh-next";

const SCHEME: &str = "Mesh ";

/// Good for one request to the node that made it. Nothing about it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 32]);

/// What proves that a request comes from somebody who holds a mesh key: the `Authorization` header, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Under which key it is signed.
    pub key: KeyHash,
    /// The nonce.
    pub nonce: Nonce,
    /// The hash of the body.
    pub body: Hash,
    /// The MAC over all of it.
    pub mac: Hash,
}

/// Signs one exchange, under one key and one nonce. Secret; never shown.
#[derive(Clone)]
pub struct Signer {
    name: KeyHash,
    key: [u8; 32],
    seal: [u8; 32],
    nonce: Nonce,
}

/// A header that is not ours, or a text that is no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature of the mesh's administration")]
pub struct Malformed;

/// Sealed bytes that were not sealed for this exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed under this key for this request")]
pub struct NotSealed;

impl Signer {
    /// Signs the exchange that `nonce` is for, under `key`.
    pub fn new(key: &MeshKey, nonce: Nonce) -> Self {
        Self {
            name: key.hash(),
            key: blake3::derive_key("mesh 2026 admin request", key.as_bytes()),
            seal: blake3::derive_key("mesh 2026 admin seal", key.as_bytes()),
            nonce,
        }
    }

    /// The nonce of the exchange.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// What goes with a request. `target` is its path, with the query if there is one.
    pub fn credentials(&self, method: &str, target: &str, body: &[u8]) -> Credentials {
        let body = blake3::hash(body);
        Credentials { key: self.name, nonce: self.nonce, body, mac: self.request(method, target, &body) }
    }

    /// Whether `credentials` are those of a request with this method and target. What they say about the body has to be
    /// compared when it is there.
    pub fn accepts(&self, credentials: &Credentials, method: &str, target: &str) -> bool {
        credentials.key == self.name
            && credentials.nonce == self.nonce
            && credentials.mac == self.request(method, target, &credentials.body)
    }

    /// The MAC of an answer.
    pub fn answer(&self, status: u16, body: &[u8]) -> Hash {
        self.mac(&[b"answer", &self.nonce.0, &status.to_le_bytes(), blake3::hash(body).as_bytes()])
    }

    /// The MAC of a frame.
    pub fn frame(&self, number: u64, kind: u8, body: &[u8]) -> Hash {
        self.mac(&[b"frame", &self.nonce.0, &number.to_le_bytes(), &[kind], blake3::hash(body).as_bytes()])
    }

    /// Makes `bytes` unreadable for whoever does not hold the key. Once an exchange: the nonce is used up.
    pub fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        self.cipher().encrypt(&CipherNonce::default(), bytes).expect("what is sealed is short")
    }

    /// Makes readable what [`Signer::seal`] made of something.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, NotSealed> {
        self.cipher().decrypt(&CipherNonce::default(), sealed).map_err(|_| NotSealed)
    }

    // One key for each nonce, so that the cipher's own nonce may always be zero.
    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(blake3::keyed_hash(&self.seal, &self.nonce.0).as_bytes().into())
    }

    fn request(&self, method: &str, target: &str, body: &Hash) -> Hash {
        self.mac(&[b"request", &self.nonce.0, method.as_bytes(), target.as_bytes(), body.as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> Hash {
        let mut hasher = Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer(key {})", self.name)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash::from_bytes(self.0).fmt(f)
    }
}

impl FromStr for Nonce {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Ok(Self(*Hash::from_hex(text).map_err(|_| Malformed)?.as_bytes()))
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}:{}:{}", self.key, self.nonce, self.body, self.mac)
    }
}

impl FromStr for Credentials {
    type Err = Malformed;

    fn from_str(header: &str) -> Result<Self, Malformed> {
        let parts: Vec<&str> = header.strip_prefix(SCHEME).ok_or(Malformed)?.split(':').collect();
        let [key, nonce, body, mac] = parts[..] else { return Err(Malformed) };
        let hash = |text| Hash::from_hex(text).map_err(|_| Malformed);
        Ok(Self { key: key.parse().map_err(|_| Malformed)?, nonce: nonce.parse()?, body: hash(body)?, mac: hash(mac)? })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Credentials, MeshKey, Nonce, Signer};

    fn signer(key: u8, nonce: u8) -> Signer {
        Signer::new(&MeshKey::from_bytes([key; 32]), Nonce([nonce; 32]))
    }

    #[test]
    fn a_request_is_accepted_as_it_was_signed_and_not_otherwise() {
        let one = signer(1, 1);
        let signed: Credentials = one.credentials("GET", "/a?b=c", b"body").to_string().parse().unwrap();
        assert!(one.accepts(&signed, "GET", "/a?b=c"));
        assert!(!one.accepts(&signed, "POST", "/a?b=c"));
        assert!(!one.accepts(&signed, "GET", "/a?b=d"));
        assert!(!signer(2, 1).accepts(&signed, "GET", "/a?b=c"));
        assert!(!signer(1, 2).accepts(&signed, "GET", "/a?b=c"));
        let body = blake3::hash(b"another");
        assert!(!one.accepts(&Credentials { body, ..signed }, "GET", "/a?b=c"));
    }

    #[test]
    fn answers_frames_and_requests_are_never_taken_for_each_other() {
        let one = signer(1, 1);
        assert_ne!(one.answer(200, b"x"), one.answer(201, b"x"));
        assert_ne!(one.frame(0, 1, b"x"), one.frame(1, 1, b"x"));
        assert_ne!(one.frame(0, 1, b"x"), one.frame(0, 2, b"x"));
        assert_ne!(one.answer(200, b"x"), signer(1, 2).answer(200, b"x"));
    }

    #[test]
    fn what_is_sealed_is_opened_in_the_same_exchange_only() {
        let sealed = signer(1, 1).seal(b"a new key");
        assert!(!sealed.windows(5).any(|bytes| bytes == b"a new"));
        assert_eq!(signer(1, 1).open(&sealed).unwrap(), b"a new key");
        signer(1, 2).open(&sealed).unwrap_err();
        signer(2, 1).open(&sealed).unwrap_err();
        signer(1, 1).open(&[]).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(header in "(Mesh )?[0-9a-f:é]{0,250}") {
            prop_assert!(header.parse::<Credentials>().is_err());
        }
    }
}
