//! The mesh keys that meshctl can sign with.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, bail};
use mesh_gossip::keyring::MeshKey;
use mesh_node::admin::wire::Challenge;

use super::{Client, key_file};
use crate::home::Home;

/// The keys that were given, else those of the home. Several stand on lines or behind commas, as in `mesh.key`.
pub(super) fn held(given: Option<&str>, home: &Home) -> anyhow::Result<Vec<MeshKey>> {
    if let Some(given) = given.filter(|given| !given.trim().is_empty()) {
        return parse(given).context("the mesh key that was given");
    }
    let path = key_file(home);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<MeshKey>> {
    let keys = text.split([',', '\n', ' ']).map(str::trim).filter(|key| !key.is_empty());
    keys.map(|key| key.parse().map_err(anyhow::Error::from)).collect()
}

/// Signs with a key that the node holds.
pub(super) fn choose(
    http: reqwest::Client,
    base: String,
    keys: Vec<MeshKey>,
    challenge: Challenge,
    timeout: Duration,
) -> anyhow::Result<Client> {
    if keys.is_empty() {
        bail!(
            "a node answers at {base}, and there is no mesh key to ask it with: give the key of its mesh with --mesh-key \
             or MESH_KEY, or put it into mesh.key in the state folder of the home (see `meshctl invite` where it runs)"
        );
    }
    let ours = keys.iter().map(|key| key.hash().to_string()).collect::<Vec<_>>().join(", ");
    match keys.into_iter().find(|key| challenge.keys.contains(&key.hash().to_string())) {
        Some(key) => Ok(Client { http, base, key, timeout, next: Some(challenge.nonce) }),
        None => bail!(
            "the node at {base} belongs to a mesh with another key ({}) than the one given here ({ours}): give its key \
             with --mesh-key or MESH_KEY",
            challenge.keys.join(", ")
        ),
    }
}
