//! Numbers that nobody else draws: cheap enough for several per call.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 over a counter that starts somewhere else in every process. Ids of spans are no secrets.
static COUNTER: LazyLock<AtomicU64> = LazyLock::new(|| {
    // Without entropy ids may repeat across processes, which muddles a picture and harms nothing.
    AtomicU64::new(getrandom::u64().unwrap_or_else(|_| std::process::id().into()))
});

/// The next random number.
pub(crate) fn random() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = COUNTER.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// An id for a span: never zero.
pub(super) fn span() -> u64 {
    random().max(1)
}
