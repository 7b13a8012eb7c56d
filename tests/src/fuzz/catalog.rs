//! What agents offer and ask for. It is signed by its member, and may be anything all the same.

use mesh_gossip::catalog::{Health, Offers};
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::version::{Constraint, Version};
use mesh_gossip::schema::canonical::canonicalise;
use mesh_gossip::schema::{Digest, read_body};

/// The format byte of a record's value, before JSON under zstd.
const FORMAT: u8 = 1;

/// `json` as a record's value, so that what lies behind the compression is reached.
fn packed(json: &[u8]) -> Vec<u8> {
    let mut value = vec![FORMAT];
    value.extend(zstd::bulk::compress(json, 1).expect("into memory"));
    value
}

pub(super) fn offers(bytes: &[u8]) {
    for value in [bytes.to_vec(), packed(bytes)] {
        let Ok(offers) = Offers::decode(&value) else { continue };
        // What grows beyond the bound when it is written out in full is not sent on.
        if let Ok(encoded) = offers.encode() {
            assert!(Offers::decode(&encoded).is_ok(), "what was read cannot be written");
        }
    }
}

pub(super) fn offers_corpus() -> Vec<Vec<u8>> {
    let json = r#"{"agent":"weather-0123abcd","name":"weather","agent_type":"mcp","endpoints":["http://10.0.0.1:8080"],
        "namespace":"default","tools":[{"function":"now","capability":"weather","version":"1.2.3","tags":["fast","eu"],
        "input":null,"kwargs":{"timeout":30},"dependencies":[{"capability":"geo","required":true}]}]}"#;
    vec![json.into(), packed(json.as_bytes()), b"{}".to_vec()]
}

pub(super) fn health(bytes: &[u8]) {
    for value in [bytes.to_vec(), packed(bytes)] {
        let Ok(health) = Health::decode(&value) else { continue };
        if let Ok(encoded) = health.encode() {
            assert!(Health::decode(&encoded).is_ok_and(|again| again == health), "what was read cannot be written");
        }
    }
}

pub(super) fn health_corpus() -> Vec<Vec<u8>> {
    let json = br#"{"status":"degraded","note":"slow","tools":{"now":"unhealthy"}}"#;
    vec![json.to_vec(), packed(json), Health::default().encode().expect("small")]
}

pub(super) fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (version, constraint) = (Version::new(text), Constraint::new(text));
    assert!(version.as_str() == text && constraint.as_str() == text);
    let _ = constraint.allows(&Version::new("1.2.3"));
    let _ = Constraint::new(">=1.0").allows(&version);
    if let Ok(selector) = text.parse::<Selector>() {
        assert_eq!(selector.to_string().parse(), Ok(selector));
    }
}

pub(super) fn selector_corpus() -> Vec<Vec<u8>> {
    let texts = [
        "weather +fast -slow (eu|us) @>=1.2,<2",
        "\"odd name\" in=staging",
        "weather in=*",
        "1.2.3-rc.1+build",
        "~1.2 || ^2.0, !=2.3",
        ">=1.0.0 <2.0.0",
    ];
    texts.into_iter().map(Vec::from).collect()
}

pub(super) fn schema(bytes: &[u8]) {
    let _ = read_body(bytes, &Digest::of(&serde_json::Value::Null));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = canonicalise(text);
}

pub(super) fn schema_corpus() -> Vec<Vec<u8>> {
    let schema = r##"{"$defs":{"City":{"type":"object","title":"City","properties":{"name":{"type":"string"}}}},
        "type":"object","properties":{"city":{"$ref":"#/$defs/City"},"days":{"anyOf":[{"type":"integer"},{"type":"null"}]}},
        "required":["days","city"]}"##;
    vec![schema.into(), b"{\"type\":[\"null\",\"string\"]}".to_vec(), b"[[[[1e999]]]]".to_vec()]
}
