#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tempfile::TempDir;

use super::{Bounds, Entry, Event, EventFilter, EventType, Known, Row, Schema, Store};
use crate::admin::timestamp::Timestamp;
use crate::registry::store::disk::Disk;

fn event(kind: EventType, agent: &str, at: u64) -> Event {
    Event { timestamp: Timestamp(at), ..Event::now(kind, agent, "name").with(json!({"at": at})) }
}

fn written(disk: &Disk, events: &[Event]) {
    let entries: Vec<Entry> = events.iter().cloned().map(Row::of).map(Entry::Event).collect();
    disk.write(&entries).unwrap();
}

fn all(limit: usize) -> EventFilter {
    EventFilter { limit, ..EventFilter::default() }
}

fn moments(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.timestamp.0).collect()
}

fn schema(hash: &str, origin: &str, at: u64) -> Schema {
    let canonical = RawValue::from_string(r#"{"type":"object"}"#.to_owned()).unwrap();
    Schema { hash: hash.to_owned(), canonical, runtime_origin: origin.to_owned(), created_at: Timestamp(at) }
}

#[test]
fn events_come_newest_first_and_only_those_that_are_wanted() {
    let disk = Disk::in_memory(Bounds::default()).unwrap();
    let about_tool = Event { function_name: Some("f".into()), ..event(EventType::DependencyResolved, "a", 4) };
    written(
        &disk,
        &[
            event(EventType::Register, "a", 1),
            event(EventType::Register, "b", 2),
            event(EventType::Unhealthy, "a", 3),
            about_tool.clone(),
            event(EventType::Register, "ab", 5),
        ],
    );
    assert_eq!(moments(&disk.events(&all(50)).unwrap()), [5, 4, 3, 2, 1]);
    assert_eq!(moments(&disk.events(&all(2)).unwrap()), [5, 4]);
    let of_a = EventFilter { agent_id: Some("a".into()), ..all(50) };
    assert_eq!(moments(&disk.events(&of_a).unwrap()), [4, 3, 1], "another agent's id may begin with it");
    let comings = EventFilter { event_type: Some(EventType::Register), ..all(2) };
    assert_eq!(moments(&disk.events(&comings).unwrap()), [5, 2]);
    let comings_of_a = EventFilter { event_type: Some(EventType::Register), ..of_a };
    assert_eq!(moments(&disk.events(&comings_of_a).unwrap()), [1]);
    let of_tool = EventFilter { function_name: Some("f".into()), ..all(50) };
    assert_eq!(disk.events(&of_tool).unwrap(), [about_tool]);
}

#[test]
fn the_oldest_rows_go_when_there_are_too_many() {
    let disk = Disk::in_memory(Bounds { events: Some(3), ..Bounds::default() }).unwrap();
    for at in 0..10 {
        written(&disk, &[event(EventType::Register, "a", at)]);
    }
    assert_eq!(moments(&disk.events(&all(50)).unwrap()), [9, 8, 7]);
    let of_a = EventFilter { agent_id: Some("a".into()), ..all(50) };
    assert_eq!(moments(&disk.events(&of_a).unwrap()), [9, 8, 7], "the index forgets with it");
}

#[test]
fn a_sweep_takes_agents_that_are_long_gone_and_schemas_that_nobody_names() {
    let disk = Disk::in_memory(Bounds { retention: Some(Duration::from_millis(100)), ..Bounds::default() }).unwrap();
    written(
        &disk,
        &[
            event(EventType::Register, "long-gone", 10),
            event(EventType::Register, "just-gone", 10),
            event(EventType::Register, "here", 10),
            event(EventType::Unhealthy, "just-gone", 450),
        ],
    );
    let schemas = [schema("named", "python", 10), schema("orphan", "python", 10), schema("new", "python", 450)];
    disk.write(&schemas.map(Entry::Schema)).unwrap();
    let known = Known { agents: ["here".to_owned()].into(), schemas: ["named".to_owned()].into(), at: Timestamp(500) };
    disk.write(&[Entry::Sweep(known.into())]).unwrap();
    let left: Vec<String> = disk.events(&all(50)).unwrap().into_iter().map(|event| event.agent_id).collect();
    assert_eq!(left, ["just-gone", "here", "just-gone"]);
    let left: Vec<String> = disk.schemas(50).unwrap().into_iter().map(|schema| schema.hash).collect();
    assert_eq!(left, ["new", "named"]);
}

#[test]
fn who_reports_a_schema_first_is_its_origin_and_there_are_not_too_many() {
    let disk = Disk::in_memory(Bounds { schemas: 2, ..Bounds::default() }).unwrap();
    let told = [schema("a", "python", 1), schema("a", "rust", 2), schema("b", "java", 3), schema("c", "java", 4)];
    disk.write(&told.map(Entry::Schema)).unwrap();
    let kept = disk.schemas(50).unwrap();
    let kept: Vec<(&str, &str)> =
        kept.iter().map(|schema| (schema.hash.as_str(), schema.runtime_origin.as_str())).collect();
    assert_eq!(kept, [("b", "java"), ("a", "python")]);
    assert_eq!(disk.schema("a").unwrap().unwrap().canonical.get(), r#"{"type":"object"}"#);
    assert!(disk.schema("c").unwrap().is_none());
}

#[test]
fn an_event_that_is_too_large_keeps_its_place_without_its_data() {
    let disk = Disk::in_memory(Bounds::default()).unwrap();
    let huge = event(EventType::Register, "a", 1).with(json!({"text": "x".repeat(1 << 20)}));
    written(&disk, &[huge]);
    assert_eq!(serde_json::Value::from(disk.events(&all(1)).unwrap()[0].data.clone()), json!({"truncated": true}));
}

#[test]
fn an_event_that_repeats_itself_is_stored_small_and_read_as_it_was() {
    let names: Vec<String> = (0..500).map(|number| format!("agent-{number}:do_something")).collect();
    let event =
        event(EventType::DependencyResolved, "a", 1).with(json!({"kept": [names.clone(), names.clone(), names]}));
    let (plain, row) = (serde_json::to_vec(&event).unwrap().len(), Row::of(event.clone()));
    assert!(row.bytes.len() * 8 < plain, "{} of {plain} bytes", row.bytes.len());
    let disk = Disk::in_memory(Bounds::default()).unwrap();
    disk.write(&[Entry::Event(row)]).unwrap();
    assert_eq!(disk.events(&all(1)).unwrap(), [event]);
}

#[test]
fn what_was_written_survives_a_restart_and_two_seeds_of_one_home_keep_apart() {
    let home = TempDir::new().unwrap();
    let first = Disk::open(&home.path().join("events.redb"), Bounds::default()).unwrap();
    let second = Disk::open(&home.path().join("events.redb"), Bounds::default()).unwrap();
    written(&first, &[event(EventType::Register, "a", 1), event(EventType::Unhealthy, "a", 2)]);
    assert!(second.events(&all(50)).unwrap().is_empty());
    drop(first);
    let again = Disk::open(&home.path().join("events.redb"), Bounds::default()).unwrap();
    assert_eq!(moments(&again.events(&all(50)).unwrap()), [2, 1]);
    assert_eq!(moments(&again.last_known().unwrap()), [2]);
    written(&again, &[event(EventType::Register, "b", 3)]);
    assert_eq!(moments(&again.events(&all(1)).unwrap()), [3], "new rows come after those of the former process");
}

#[tokio::test]
async fn a_store_that_is_not_written_loses_what_is_too_much_and_says_how_much() {
    let (store, writing) = Store::open(None, Bounds::default()).await.unwrap();
    for at in 0..super::QUEUE as u64 + 7 {
        store.record(event(EventType::Register, "a", at));
    }
    assert_eq!(store.lost(), 7);
    let reader = store.clone();
    drop(store);
    let wait = async {
        while reader.events(all(super::QUEUE + 50)).await.unwrap().len() < super::QUEUE {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = writing => unreachable!("a handle is left"), () = wait => {} }
}

#[tokio::test]
async fn a_file_that_is_no_store_does_not_keep_a_seed_from_starting() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("events.redb");
    std::fs::write(&file, "this is no database, as somebody's editor left it").unwrap();
    let (store, writing) = Store::open(Some(&file), Bounds::default()).await.unwrap();
    store.record(event(EventType::Register, "a", 1));
    let read = async {
        while store.events(all(1)).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = writing => unreachable!("a handle is left"), () = read => {} }
}
