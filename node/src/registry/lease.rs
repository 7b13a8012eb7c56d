//! What a seed tells other seeds of an agent that it speaks for, so that any of them can go on in its place: a record
//! beside the agent's offers.

use std::io::Read;

use mesh_gossip::catalog::AgentId;
use mesh_gossip::record::{Key, NotAKey};
use serde::{Deserialize, Serialize};

use super::book::{Entry, State};
use super::profile::Profile;
use crate::admin::timestamp::Timestamp;

const PREFIX: &str = "lease/";

/// The first byte of a lease's record.
const FORMAT: u8 = 1;

/// Good for JSON of a few kilobytes, and cheap.
const LEVEL: i32 = 3;

/// The most bytes of a lease before compression; more is refused, whoever wrote it.
pub const MAX_LEASE_BYTES: usize = 1024 * 1024;

/// What a decoder may need for its window.
const MAX_WINDOW_LOG: u32 = 21;

/// One agent in the hands of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// One more with every seed that took the agent over; of two seeds that claim it the higher one has it.
    pub number: u64,
    /// Whether its heartbeats come.
    pub is_held: bool,
    /// When it registered first.
    pub created: Timestamp,
    /// When it was last heard of, at the time of this record.
    pub seen: Timestamp,
    /// Everything that it said of itself.
    pub profile: Profile,
}

/// A lease that cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLease {
    /// Damaged, cut, or of a newer version.
    #[error("not a lease that this version can read")]
    Malformed,
    /// Larger than any seed would read.
    #[error("the registration is larger than {MAX_LEASE_BYTES} bytes")]
    TooLarge,
}

impl Lease {
    /// The lease of `entry` as others are told.
    pub fn of(entry: &Entry) -> Self {
        Self {
            number: entry.lease,
            is_held: entry.state == State::Healthy,
            created: entry.created,
            seen: entry.seen,
            profile: (*entry.profile).clone(),
        }
    }

    /// The value of the record that carries it.
    ///
    /// # Errors
    /// [`BadLease::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, BadLease> {
        let json = serde_json::to_vec(self).map_err(|_| BadLease::Malformed)?;
        if json.len() > MAX_LEASE_BYTES {
            return Err(BadLease::TooLarge);
        }
        let mut packed = vec![FORMAT];
        packed.extend(zstd::bulk::compress(&json, LEVEL).expect("compressing memory into memory does not fail"));
        Ok(packed)
    }

    /// Reads one from a record's value.
    ///
    /// # Errors
    /// [`BadLease`]; no more than a small multiple of [`MAX_LEASE_BYTES`] is allocated.
    pub fn decode(value: &[u8]) -> Result<Self, BadLease> {
        let Some((&FORMAT, packed)) = value.split_first() else { return Err(BadLease::Malformed) };
        let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| BadLease::Malformed)?;
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(|_| BadLease::Malformed)?;
        let mut json = Vec::new();
        decoder.take(MAX_LEASE_BYTES as u64 + 1).read_to_end(&mut json).map_err(|_| BadLease::Malformed)?;
        if json.len() > MAX_LEASE_BYTES {
            return Err(BadLease::TooLarge);
        }
        serde_json::from_slice(&json).map_err(|_| BadLease::Malformed)
    }
}

/// Under which key a seed keeps the lease of `agent`.
///
/// # Errors
/// [`NotAKey`] when the id is too long.
pub fn key(agent: &AgentId) -> Result<Key, NotAKey> {
    format!("{PREFIX}{agent}").parse()
}

/// The agent whose lease a record under `key` is, if it is one.
pub fn subject(key: &Key) -> Option<AgentId> {
    key.as_str().strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};
    use serde_json::json;

    use super::{BadLease, Lease, Profile, Timestamp, key, subject};

    fn lease() -> Lease {
        let told = json!({"agent_id": "a-1", "http_host": "h", "http_port": 1, "description": "x",
            "surfaces": [{"path": "/p", "skill_id": "s"}],
            "tools": [{"function_name": "f", "capability": "c", "inputSchema": {"type": "object"},
                "dependencies": [{"capability": "d", "tags": ["+x", ["a", "b"]], "required": true}]}]});
        let profile = Profile::read(&serde_json::from_value(told).unwrap(), None).unwrap().profile;
        Lease { number: 3, is_held: true, created: Timestamp(1), seen: Timestamp(2), profile }
    }

    #[test]
    fn a_lease_survives_its_record() {
        assert_eq!(Lease::decode(&lease().encode().unwrap()), Ok(lease()));
        let agent = lease().profile.agent;
        assert_eq!(subject(&key(&agent).unwrap()), Some(agent));
        assert_eq!(subject(&"offers/a".parse().unwrap()), None);
    }

    #[test]
    fn a_bomb_is_refused_without_being_unpacked() {
        let bomb = zstd::bulk::compress(&vec![b' '; 200 << 20], 1).unwrap();
        let refused = Lease::decode(&[&[1], &bomb[..]].concat());
        assert!(matches!(refused, Err(BadLease::TooLarge | BadLease::Malformed)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let framed = [&[1], &bytes[..]].concat();
            prop_assert!(Lease::decode(&bytes).is_err() && Lease::decode(&framed).is_err());
        }
    }
}
