//! What people and configuration write: ids, keys, names. Whatever parses prints as something that parses to the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use mesh_gossip::id::MemberId;
use mesh_gossip::keyring::{KeyHash, MeshKey};
use mesh_gossip::record::Key;
use mesh_gossip::seeds::SeedSpec;

pub(super) fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    round_trip::<MemberId>(text);
    round_trip::<KeyHash>(text);
    round_trip::<Key>(text);
    round_trip::<SeedSpec>(text);
    if let Ok(key) = text.parse::<MeshKey>() {
        assert!(key.to_text().parse::<MeshKey>().is_ok_and(|again| again == key));
    }
}

fn round_trip<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{value} does not parse as itself");
    }
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let key = MeshKey::from_bytes([5; 32]);
    let texts = [
        MemberId::from_bytes([0xAB; 16]).to_string(),
        key.hash().to_string(),
        key.to_text().to_string(),
        "offers/weather".to_owned(),
        "é".repeat(16),
        "seed.example:7745".to_owned(),
        "[fd00::1]:7745".to_owned(),
        "10.0.0.1".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}
