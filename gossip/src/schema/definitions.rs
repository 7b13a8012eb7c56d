//! The named parts of a schema (`$defs`, `definitions`): inlined where they are used, unless they are recursive.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::canonical::TooLarge;

/// The most values a schema may have after its definitions are inlined. Sixteen definitions that each use the next one
/// twice make 65,536 values out of a kilobyte. This many are about a megabyte of text, as much as can be published; a
/// domain model of forty classes and fifty enums was measured at 27,000.
const MAX_VALUES: usize = 100_000;

/// How deep a schema may nest after its definitions are inlined; the walks over it are recursive.
const MAX_DEPTH: usize = 200;

/// The definitions of one schema, and what was noticed while they were inlined.
pub(super) struct Definitions<'a> {
    bodies: BTreeMap<&'a str, &'a Value>,
    recursive: BTreeSet<&'a str>,
    open: Vec<&'a str>,
    values: usize,
    pub(super) warnings: Vec<String>,
}

impl<'a> Definitions<'a> {
    /// Those at the root of `schema`.
    pub(super) fn of(schema: &'a Value) -> Self {
        let mut bodies = BTreeMap::new();
        for key in ["$defs", "definitions"] {
            if let Some(Value::Object(named)) = schema.get(key) {
                bodies.extend(named.iter().map(|(name, body)| (name.as_str(), body)));
            }
        }
        let recursive = recursive(&bodies);
        Self { bodies, recursive, open: Vec::new(), values: 0, warnings: Vec::new() }
    }

    /// The definitions that cannot be inlined, with their bodies.
    pub(super) fn recursive(&self) -> Vec<(&'a str, &'a Value)> {
        self.recursive.iter().map(|name| (*name, self.bodies[name])).collect()
    }

    /// `value` with every reference to a definition replaced by what it refers to.
    pub(super) fn inline(&mut self, value: &'a Value) -> Result<Value, TooLarge> {
        self.inline_at(value, 0)
    }

    fn inline_at(&mut self, value: &'a Value, depth: usize) -> Result<Value, TooLarge> {
        self.values += 1;
        if self.values > MAX_VALUES || depth > MAX_DEPTH {
            return Err(TooLarge);
        }
        match value {
            Value::Object(map) => match map.get("$ref") {
                Some(Value::String(reference)) => self.follow(reference, map, depth),
                _ => {
                    let mut inlined = Map::new();
                    self.inline_entries(map, &["$defs", "definitions"], &mut inlined, depth)?;
                    Ok(Value::Object(inlined))
                }
            },
            Value::Array(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.inline_at(item, depth + 1)).collect();
                Ok(Value::Array(items?))
            }
            other => Ok(other.clone()),
        }
    }

    fn inline_entries(
        &mut self,
        map: &'a Map<String, Value>,
        without: &[&str],
        into: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooLarge> {
        for (key, value) in map {
            if !without.contains(&key.as_str()) {
                into.insert(key.clone(), self.inline_at(value, depth + 1)?);
            }
        }
        Ok(())
    }

    fn follow(&mut self, reference: &'a str, map: &'a Map<String, Value>, depth: usize) -> Result<Value, TooLarge> {
        let Some(name) = local_name(reference) else {
            self.warnings.push(format!("non-local $ref kept: {reference}"));
            return Ok(Value::Object(Map::from_iter([("$ref".into(), reference.into())])));
        };
        if self.recursive.contains(name) || self.open.contains(&name) {
            let mut kept = Map::from_iter([("$ref".into(), local_reference(name).into())]);
            self.inline_entries(map, &["$ref", "$defs", "definitions"], &mut kept, depth)?;
            return Ok(Value::Object(kept));
        }
        let Some(&body) = self.bodies.get(name) else {
            self.warnings.push(format!("unresolved $ref: {reference}"));
            return Ok(Value::Object(Map::new()));
        };
        self.open.push(name);
        let resolved = self.inline_at(body, depth + 1);
        self.open.pop();
        let mut merged = match resolved? {
            Value::Object(map) => map,
            other => Map::from_iter([("__resolved__".into(), other)]),
        };
        self.inline_entries(map, &["$ref"], &mut merged, depth)?;
        Ok(Value::Object(merged))
    }
}

/// The definition that `reference` names, when it is a local reference.
pub(super) fn local_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/$defs/").or_else(|| reference.strip_prefix("#/definitions/"))
}

/// The canonical reference to the definition `name`.
pub(super) fn local_reference(name: &str) -> String {
    format!("#/$defs/{name}")
}

/// Definitions that reach a cycle of references: what is left after everything that refers to nothing left is taken
/// away, again and again.
fn recursive<'a>(bodies: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
    let mut references: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut users: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for (&name, body) in bodies {
        let mut used = BTreeSet::new();
        collect_references(body, &mut used);
        used.retain(|used| bodies.contains_key(used));
        for used in &used {
            users.entry(used).or_default().push(name);
        }
        references.insert(name, used);
    }
    let mut left: BTreeSet<&'a str> = bodies.keys().copied().collect();
    let mut leaves: Vec<&str> = left.iter().copied().filter(|name| references[name].is_empty()).collect();
    while let Some(leaf) = leaves.pop() {
        left.remove(leaf);
        for &user in users.get(leaf).into_iter().flatten() {
            let used = references.get_mut(user).expect("every definition has an entry");
            used.remove(leaf);
            if used.is_empty() {
                leaves.push(user);
            }
        }
    }
    left
}

fn collect_references<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                into.extend(local_name(reference));
            }
            map.values().for_each(|value| collect_references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}
