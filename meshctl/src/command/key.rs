//! `meshctl key`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use mesh_gossip::identity::mesh_key;
use mesh_gossip::keyring::{KeyHash, MeshKey};
use mesh_gossip::order::OrderBody;
use serde::Serialize;

use crate::client::NodeArgs;
use crate::operator::{self, OperatorArgs};
use crate::output::{self, say};

/// Lists and turns the keys of the mesh: install a new one, use it, remove the old one.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists the keys that the node holds by their names, the one that seals first
    List {
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Has every member open under one more key: a new one, or that of a file
    Install {
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        operator: OperatorArgs,
        /// A file that holds the key, in base64 or hex; without one a new key is made
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Has every member seal with an installed key
    Use {
        /// Its name: 8 hex digits
        key: KeyHash,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// Has every member open nothing under a key any more
    Remove {
        /// Its name: 8 hex digits
        key: KeyHash,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        operator: OperatorArgs,
    },
}

#[derive(Serialize)]
struct Held<'a> {
    key: &'a str,
    seals: bool,
}

impl Key {
    /// Does it.
    ///
    /// # Errors
    /// When no node answers, or this machine is not the operator's.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::List { node, json } => list(&node, json).await?,
            What::Install { node, operator, key_file } => {
                let key = match key_file {
                    None => mesh_key::generate(),
                    Some(path) => read(&path)?,
                };
                let name = key.hash();
                order(&node, &operator, OrderBody::Install(key)).await?;
                say(format_args!("Every member opens under key {name} now; next: meshctl key use {name}"));
            }
            What::Use { key, node, operator } => {
                order(&node, &operator, OrderBody::Use(key)).await?;
                say(format_args!("Every member seals with key {key} now; next: meshctl key remove <the old one>"));
            }
            What::Remove { key, node, operator } => {
                order(&node, &operator, OrderBody::Remove(key)).await?;
                say(format_args!("Nobody opens anything under key {key} any more"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(node: &NodeArgs, json: bool) -> anyhow::Result<()> {
    let mut client = node.connect(Duration::from_secs(30)).await?;
    let ground = operator::ground(&mut client, None).await?;
    let held = ground.keys.iter().enumerate().map(|(place, key)| Held { key, seals: place == 0 });
    if json {
        return output::json(&held.collect::<Vec<_>>());
    }
    for key in held {
        say(format_args!("{}{}", key.key, if key.seals { "  seals" } else { "" }));
    }
    Ok(())
}

fn read(path: &PathBuf) -> anyhow::Result<MeshKey> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim().parse().with_context(|| path.display().to_string())
}

async fn order(node: &NodeArgs, operator: &OperatorArgs, body: OrderBody) -> anyhow::Result<()> {
    let operator = operator.key()?;
    let mut client = node.connect(Duration::from_secs(30)).await?;
    let ground = operator::ground(&mut client, None).await?;
    operator::give(&mut client, &operator, &ground, body).await
}
