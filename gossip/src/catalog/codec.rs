//! Offers and health as values of records: a format byte, then JSON under zstd.
//!
//! JSON because fields come and go: an older node skips what it does not know, a newer one fills in what is not there.
//! A new format byte is needed only when that no longer works.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::name::is_name;
use super::offer::{Health, Offers};
use crate::resolve::selector::Selector;
use crate::resolve::tags::{TagWishes, Term};
use crate::resolve::version::Constraint;

/// The most bytes of offers before compression. More is refused, whoever wrote it.
pub const MAX_OFFERS_BYTES: usize = 1024 * 1024;

/// The most tools of one agent.
pub const MAX_TOOLS: usize = 1024;

/// The most tags, and the most dependencies, of one tool.
pub const MAX_LIST: usize = 256;

/// The most bytes of a health record before compression.
const MAX_HEALTH_BYTES: usize = 128 * 1024;

const FORMAT: u8 = 1;

/// Good for JSON of a few kilobytes, and cheap: some 50 µs.
const LEVEL: i32 = 3;

/// The most bytes of a name (of a function, a capability, a tag, an agent).
const MAX_NAME_BYTES: usize = 253;

/// A record value that holds no offers or no health. What this node knew before stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadValue {
    /// Written by a newer version in a format that this one cannot read.
    #[error("format {0} is not known here: written by a newer version")]
    UnknownFormat(u8),
    /// Damaged, cut, or not what it should be.
    #[error("not a record of this kind")]
    Malformed,
    /// Larger than the bound on it.
    #[error("{what} is beyond {bound}")]
    TooLarge {
        /// What is too large or too many.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
}

impl Offers {
    /// The value of the record that carries these offers.
    ///
    /// # Errors
    /// [`BadValue::TooLarge`] when they are more than any node would read; offer less, or say less about it.
    pub fn encode(&self) -> Result<Vec<u8>, BadValue> {
        self.check()?;
        pack(self, "the size of the offers", MAX_OFFERS_BYTES)
    }

    /// Reads offers from a record's value.
    ///
    /// # Errors
    /// [`BadValue`] says why not; nothing is allocated beyond a small multiple of [`MAX_OFFERS_BYTES`].
    pub fn decode(value: &[u8]) -> Result<Self, BadValue> {
        Self::read(value, &mut Unpacker::default())
    }

    /// The same for whoever reads many: with an unpacker of its own.
    pub(crate) fn read(value: &[u8], unpacker: &mut Unpacker) -> Result<Self, BadValue> {
        let offers: Self = unpacker.unpack(value, "the size of the offers", MAX_OFFERS_BYTES)?;
        offers.check()?;
        Ok(offers)
    }

    fn check(&self) -> Result<(), BadValue> {
        at_most("the number of tools", self.tools.len(), MAX_TOOLS)?;
        at_most("the number of endpoints", self.endpoints.len(), MAX_LIST)?;
        at_most("an agent's name", self.name.len(), MAX_NAME_BYTES)?;
        at_most("a namespace", self.namespace.len(), MAX_NAME_BYTES)?;
        if !is_name(&self.namespace) {
            return Err(BadValue::Malformed);
        }
        for tool in &self.tools {
            if tool.function.is_empty() {
                return Err(BadValue::Malformed);
            }
            at_most("a function's name", tool.function.len(), MAX_NAME_BYTES)?;
            at_most("a capability's name", tool.capability.len(), MAX_NAME_BYTES)?;
            at_most("a version", tool.version.as_str().len(), MAX_NAME_BYTES)?;
            at_most("the number of tags", tool.tags.len(), MAX_LIST)?;
            at_most("the number of dependencies", tool.dependencies.len(), MAX_LIST)?;
            let required = tool.dependencies.iter().map(|dependency| &dependency.selector);
            required.chain(&tool.llm_provider).try_for_each(check_selector)?;
            let patterns = tool.llm_filter.iter().flat_map(|filter| &filter.patterns);
            at_most("the number of patterns in a tool filter", patterns.clone().count(), MAX_LIST)?;
            patterns.map(|pattern| (&pattern.tags, &pattern.version)).try_for_each(check_wishes)?;
        }
        Ok(())
    }
}

impl Health {
    /// The value of the record that carries this.
    ///
    /// # Errors
    /// [`BadValue::TooLarge`] when it is more than any node would read; shorten the note.
    pub fn encode(&self) -> Result<Vec<u8>, BadValue> {
        pack(self, "the size of the health record", MAX_HEALTH_BYTES)
    }

    /// Reads health from a record's value.
    ///
    /// # Errors
    /// [`BadValue`] says why not.
    pub fn decode(value: &[u8]) -> Result<Self, BadValue> {
        Unpacker::default().unpack(value, "the size of the health record", MAX_HEALTH_BYTES)
    }
}

// What a selector costs to match is paid by everybody who resolves what its tool offers.
fn check_selector(selector: &Selector) -> Result<(), BadValue> {
    at_most("a capability's name", selector.capability.len(), MAX_NAME_BYTES)?;
    check_wishes((&selector.tags, &selector.version))
}

fn check_wishes((tags, version): (&TagWishes, &Constraint)) -> Result<(), BadValue> {
    let wishes = tags.terms().iter().map(|term| match term {
        Term::One(_) => 1,
        Term::AnyOf(group) => group.len(),
    });
    at_most("the number of wished tags", wishes.sum(), MAX_LIST)?;
    at_most("a version constraint", version.as_str().len(), MAX_NAME_BYTES)
}

fn at_most(what: &'static str, size: usize, bound: usize) -> Result<(), BadValue> {
    if size > bound { Err(BadValue::TooLarge { what, bound }) } else { Ok(()) }
}

fn pack<T: Serialize>(value: &T, what: &'static str, bound: usize) -> Result<Vec<u8>, BadValue> {
    let json = serde_json::to_vec(value).map_err(|_| BadValue::Malformed)?;
    at_most(what, json.len(), bound)?;
    let mut packed = vec![FORMAT];
    packed.extend(zstd::bulk::compress(&json, LEVEL).expect("compressing memory into memory does not fail"));
    Ok(packed)
}

/// What unpacking one value after the other takes: some 100 KB, which cost more to make than to use.
#[derive(Default)]
pub(crate) struct Unpacker(Option<Decompressor<'static>>);

impl Unpacker {
    /// Gives the memory back until it is needed again.
    pub(crate) fn rest(&mut self) {
        self.0 = None;
    }

    fn unpack<T: DeserializeOwned>(&mut self, value: &[u8], what: &'static str, bound: usize) -> Result<T, BadValue> {
        let packed = match value.split_first() {
            Some((&FORMAT, packed)) => packed,
            Some((&format, _)) if format > FORMAT => return Err(BadValue::UnknownFormat(format)),
            _ => return Err(BadValue::Malformed),
        };
        let said = get_frame_content_size(packed).map_err(|_| BadValue::Malformed)?;
        let size = said.map_or(bound, |size| usize::try_from(size).unwrap_or(usize::MAX));
        at_most(what, size, bound)?;
        let decompressor = match &mut self.0 {
            Some(decompressor) => decompressor,
            None => self.0.insert(Decompressor::new().expect("a decompressor without a dictionary is only memory")),
        };
        let json = decompressor.decompress(packed, size).map_err(|_| BadValue::Malformed)?;
        serde_json::from_slice(&json).map_err(|_| BadValue::Malformed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::offer::{AgentType, Dependency, Status, Tool};
    use crate::resolve::version::Version;
    use crate::schema::Digest;

    fn sample() -> Offers {
        let mut tool = Tool::new("greet", "greeting");
        tool.version = Version::new("1.2");
        tool.tags = vec!["hello".into()];
        tool.output = Some(Digest::of(&json!({"type": "string"})));
        tool.kwargs.insert("timeout".into(), json!(77));
        let selector = r#"weather api (python|+rust) @">=1.0.0" in=prod"#.parse().unwrap();
        tool.dependencies = vec![Dependency { selector, required: true }];
        let mut offers = Offers::new("hello-12345678".parse().unwrap(), "hello");
        offers.agent_type = AgentType::Api;
        offers.endpoints = vec!["http://10.0.0.1:9000".into()];
        offers.tools = vec![tool];
        offers
    }

    fn packed(json: &Value) -> Vec<u8> {
        pack(json, "", usize::MAX).unwrap()
    }

    #[test]
    fn offers_survive_their_record() {
        let offers = sample();
        assert_eq!(Offers::decode(&offers.encode().unwrap()), Ok(offers));
    }

    // zstd's output may change with its version, the JSON may not.
    #[test]
    fn the_json_of_offers_is_pinned() {
        let json = serde_json::to_string(&sample()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"agent":"hello-12345678","name":"hello","agent_type":"api","endpoints":["http://10.0.0.1:9000"],"#,
                r#""namespace":"default","tools":[{"function":"greet","capability":"greeting","version":"1.2","#,
                r#""tags":["hello"],"#,
                r#""output":"sha256:00404e686415370f1711c4d7acfa2905444d3cf23cef2e10c47d445ebe690f96","#,
                r#""kwargs":{"timeout":77},"dependencies":[{"capability":"weather","#,
                r#""tags":["api",["python","+rust"]],"version":">=1.0.0","namespace":"prod","required":true}]}]}"#,
            )
        );
    }

    #[test]
    fn bytes_that_were_once_written_are_read() {
        let health = Health { status: Status::Degraded, note: "slow disk".into(), tools: [].into() };
        let frame = b"\x01\x28\xb5\x2f\xfd\x20\x28\x41\x01\x00";
        let written = [&frame[..], br#"{"status":"degraded","note":"slow disk"}"#].concat();
        assert_eq!(Health::decode(&written), Ok(health));
    }

    #[test]
    fn an_older_node_skips_what_it_does_not_know_and_fills_in_what_is_missing() {
        let newer = json!({"agent": "a", "name": "a", "mood": "good", "tools": [
            {"function": "f", "capability": "c", "colour": {"deep": [1]}, "dependencies": [{"capability": "d", "x": 1}]},
        ]});
        let offers = Offers::decode(&packed(&newer)).unwrap();
        assert_eq!(&*offers.namespace, "default");
        assert_eq!(offers.tools[0].version.as_str(), "1.0.0");
        assert!(!offers.tools[0].dependencies[0].required);

        let health = Health::decode(&packed(&json!({"status": "asleep", "since": 3}))).unwrap();
        assert_eq!(health.status, Status::Unknown);
        assert!(!health.of("f").is_usable());
    }

    #[test]
    fn a_bomb_is_refused_without_being_unpacked() {
        let bomb = zstd::bulk::compress(&vec![b' '; 200 << 20], 1).unwrap();
        let value = [&[FORMAT], &bomb[..]].concat();
        assert!(matches!(Offers::decode(&value), Err(BadValue::TooLarge { .. } | BadValue::Malformed)));
        assert_eq!(Offers::decode(&[9]), Err(BadValue::UnknownFormat(9)));
        assert_eq!(Offers::decode(&[]), Err(BadValue::Malformed));
    }

    #[test]
    fn names_and_lists_have_bounds() {
        let tool = json!({"function": "f", "capability": "c"});
        let with = |tools: Value| packed(&json!({"agent": "a", "name": "a", "tools": tools}));
        let too_large = |value: &[u8]| matches!(Offers::decode(value), Err(BadValue::TooLarge { .. }));
        assert!(too_large(&with(vec![tool; MAX_TOOLS + 1].into())));
        assert!(too_large(&with(json!([{"function": "f".repeat(254), "capability": "c"}]))));
        assert!(too_large(&with(json!([{"function": "f", "capability": "c", "tags": vec!["t"; 257]}]))));
        assert_eq!(Offers::decode(&with(json!([{"function": "", "capability": "c"}]))), Err(BadValue::Malformed));
        assert_eq!(Offers::decode(&packed(&json!({"agent": "A", "name": "a"}))), Err(BadValue::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Offers::decode(&bytes), Health::decode(&bytes));
        }

        #[test]
        fn damaged_offers_never_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in 0..9_usize) {
            let mut value = sample().encode().unwrap();
            let at = at.index(value.len());
            value[at] = byte;
            value.truncate(value.len() - cut);
            let _ = Offers::decode(&value);
        }

        #[test]
        fn health_survives_its_record(note in "\\PC{0,40}", tool in "[a-z]{1,5}") {
            let tools = [(tool.into(), Status::Degraded)].into();
            let health = Health { status: Status::Unhealthy, note, tools };
            prop_assert_eq!(Health::decode(&health.encode().unwrap()), Ok(health));
        }
    }
}
