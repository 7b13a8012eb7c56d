//! `docs/gossip.md` says what the code says: whoever changes a parameter or a bound changes its row too.

use mesh_gossip::config::Config;
use mesh_gossip::courier::guard;
use mesh_gossip::{alive, blob, identity, keyring, order, packet, record, records, seal, seeds, snapshot};

const DOCUMENT: &str = include_str!("../../docs/gossip.md");

/// The row of a table that begins with `name`.
fn row(name: &str) -> &'static str {
    let start = format!("| `{name}` |");
    let row = DOCUMENT.lines().find(|line| line.starts_with(&start));
    row.unwrap_or_else(|| panic!("no row about `{name}`"))
}

/// The names and values of all parameters, as people write them.
fn parameters(config: &Config) -> Vec<(String, String)> {
    let text = format!("{config:#?}");
    let fields = text.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(',')?.split_once(": "));
    fields.map(|(name, value)| (name.to_owned(), people(value))).collect()
}

fn people(value: &str) -> String {
    match value {
        "86400s" => return "24 h".to_owned(),
        "Careful" | "Plain" => return format!("`{value}`"),
        _ => {}
    }
    let digits = value.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let number = number.strip_suffix(".0").unwrap_or(number);
    let number = number.parse().map_or(number.to_owned(), with_commas);
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[test]
fn every_parameter_has_a_row_with_its_values() {
    let lan = parameters(&Config::lan());
    assert!(lan.len() > 25, "{lan:?}");
    for (name, value) in &lan {
        assert!(row(name).starts_with(&format!("| `{name}` | {value} |")), "`lan` has {value}: {}", row(name));
    }
    let presets = [
        ("`local`", Config::local()),
        ("`wan`", Config::wan()),
        ("`sim`", Config::sim()),
        ("plain", Config::lan().plain()),
    ];
    for (preset, config) in presets {
        for ((name, value), (_, usual)) in parameters(&config).iter().zip(&lan) {
            let others = row(name).split('|').nth(3).unwrap_or_default();
            let said = others.contains(&format!("{preset} {value}"));
            assert_eq!(said, value != usual, "{preset} has {value}: {}", row(name));
        }
    }
}

#[test]
fn bounds_are_those_of_the_code() {
    let mebibyte = 1 << 20;
    let bounds = records::Bounds::default();
    for (name, said) in [
        ("MAX_DATAGRAM`, `OVERHEAD", format!("{} bytes, {} of them", with_commas(seal::MAX_DATAGRAM), seal::OVERHEAD)),
        ("courier::guard::MAX_MEMBERS", with_commas(guard::MAX_MEMBERS)),
        ("MAX_ADDRESSES", alive::MAX_ADDRESSES.to_string()),
        ("MAX_ZONE_BYTES", alive::MAX_ZONE_BYTES.to_string()),
        ("MAX_ALIVE_BYTES", alive::MAX_ALIVE_BYTES.to_string()),
        ("MAX_KEY_BYTES", record::MAX_KEY_BYTES.to_string()),
        ("MAX_INLINE_BYTES", with_commas(record::MAX_INLINE_BYTES)),
        ("MAX_BLOB_BYTES", format!("{} MiB", record::MAX_BLOB_BYTES / mebibyte)),
        ("BLOBS_BYTES", format!("{} MiB", blob::BLOBS_BYTES / mebibyte)),
        ("Bounds", format!("{} keys, {} MiB", with_commas(bounds.records), bounds.bytes / mebibyte)),
        ("MAX_KEYS", keyring::MAX_KEYS.to_string()),
        ("MAX_KEY_ORDERS", order::MAX_KEY_ORDERS.to_string()),
        ("MAX_BANS", order::MAX_BANS.to_string()),
        ("MAX_FORGOTTEN", order::MAX_FORGOTTEN.to_string()),
        ("MAX_SLOTS", with_commas(identity::MAX_SLOTS as usize)),
    ] {
        let row = DOCUMENT.lines().find(|line| line.starts_with("| ") && line.contains(&format!("`{name}`")));
        assert!(row.is_some_and(|row| row.contains(&said)), "{name} is {said}: {row:?}");
    }
    for said in [
        format!("a seed without a port means {}", seeds::DEFAULT_GOSSIP_PORT),
        format!("has at most {} bytes (`MAX_RUMOUR`)", with_commas(packet::MAX_RUMOUR)),
        format!("holds up to {} alive records", with_commas(snapshot::MAX_MEMBERS)),
        format!("none (at most {} bytes)", alive::MAX_EXTENSION_BYTES),
    ] {
        assert!(DOCUMENT.contains(&said), "{said}");
    }
}

#[test]
fn the_example_of_a_suspicion_is_right() {
    let lasts = |confirmations| Config::lan().suspicion(1_000, confirmations).as_secs_f64();
    let said = format!("With `lan` and 1,000 members that is {} s alone and {} s with three", lasts(0), lasts(3));
    assert!(DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ").contains(&said), "{said}");
    let told = format!("{} among 100 members", Config::lan().retransmits(100));
    assert!(DOCUMENT.contains(&told), "{told}");
}
