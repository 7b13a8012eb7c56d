//! What is thrown at every decoder: one function per format, used by the fuzzer (`tests/fuzz`, which needs a nightly
//! compiler) and by the test `fuzz_smoke` (which does not).
//!
//! A body must come back from any bytes whatsoever, and checks what a decoder promises: what it accepts is within
//! bounds, and is the same thing when it is encoded and read again.

mod catalog;
mod conversation;
mod courier;
mod damage;
mod disk;
mod envelope;
mod packet;
mod pull;
mod scenario;
mod signed;
mod text;

pub use self::damage::{Dice, damaged};

/// One decoder under attack.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its file in `tests/fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Reads `bytes` as a peer's, and panics when the decoder breaks a promise.
    pub body: fn(&[u8]),
    /// Genuine input, which damage starts from.
    pub corpus: fn() -> Vec<Vec<u8>>,
}

/// Every decoder there is.
pub const TARGETS: &[Target] = &[
    Target { name: "alive", body: signed::alive, corpus: signed::alive_corpus },
    Target { name: "answer", body: pull::answer, corpus: pull::answer_corpus },
    Target { name: "courier_guard", body: courier::guard, corpus: courier::corpus },
    Target { name: "health", body: catalog::health, corpus: catalog::health_corpus },
    Target { name: "offers", body: catalog::offers, corpus: catalog::offers_corpus },
    Target { name: "order", body: signed::order, corpus: signed::order_corpus },
    Target { name: "packet", body: packet::read, corpus: packet::corpus },
    Target { name: "protocol", body: conversation::talk, corpus: conversation::corpus },
    Target { name: "question", body: pull::question, corpus: pull::question_corpus },
    Target { name: "record", body: signed::record, corpus: signed::record_corpus },
    Target { name: "refusal", body: envelope::refusal, corpus: envelope::refusal_corpus },
    Target { name: "scenario", body: scenario::parse, corpus: scenario::corpus },
    Target { name: "schema", body: catalog::schema, corpus: catalog::schema_corpus },
    Target { name: "seal_open", body: envelope::open, corpus: envelope::open_corpus },
    Target { name: "selector", body: catalog::selector, corpus: catalog::selector_corpus },
    Target { name: "snapshot", body: disk::snapshot, corpus: disk::snapshot_corpus },
    Target { name: "text", body: text::names, corpus: text::corpus },
];

/// Runs the body of the target called `name`: all that a file of `fuzz_targets` does.
///
/// # Panics
/// When the decoder broke a promise, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    (target.body)(bytes);
}
