//! Scenarios, which people write. A mistake in one is refused with its line, never with a panic.

use mesh_simulations::scenario::Scenario;

use crate::tree;

pub(super) fn parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(refused) = Scenario::parse("fuzz.toml", text) {
        assert!(!refused.to_string().is_empty());
    }
}

/// The shipped library.
pub(super) fn corpus() -> Vec<Vec<u8>> {
    tree::files("simulations/scenarios", "toml").into_iter().map(|file| file.text.into_bytes()).collect()
}
