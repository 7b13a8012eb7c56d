//! A node to play with: `cargo run -p mesh-gossip --example mesh -- --name a --listen 127.0.0.1:7745`, and then another
//! one with `--name b --seed 127.0.0.1:7745 --set colour=blue`.
//!
//! It prints what changes in the mesh (as JSON lines with `--json`) and says goodbye on SIGINT and SIGTERM.
#![expect(clippy::disallowed_methods, reason = "a program, not the core")]

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use mesh_gossip::gossip::metrics::word;
use mesh_gossip::gossip::{EventsError, JoinState};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::record::{Record, Value};
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::{Event, Gossip, GossipConfig, Key};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Arguments {
    /// Under which name keys are kept; replicas share it.
    #[arg(long, default_value = "agent")]
    name: String,
    /// The mesh to join.
    #[arg(long, default_value = "demo")]
    mesh: String,
    /// Where to listen, at most one IPv4 and one IPv6 address; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// Whom to contact first.
    #[arg(long)]
    seed: Vec<SeedSpec>,
    /// What to offer, as `key=value`.
    #[arg(long, value_parser = offer)]
    set: Vec<(Key, String)>,
    /// Where keys are kept: by default `mesh-example` beside other temporary files, and nowhere when there is a `--key`.
    #[arg(long, env = "MESH_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// The mesh key, in base64 or hex.
    #[arg(long, env = "MESH_KEY", hide_env_values = true)]
    key: Option<MeshKey>,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

fn offer(text: &str) -> Result<(Key, String), String> {
    let (key, value) = text.split_once('=').ok_or("write `key=value`")?;
    Ok((key.parse().map_err(|error| format!("{error}"))?, value.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    let arguments = Arguments::parse();
    let mut config = GossipConfig::new(arguments.mesh);
    config.agent = arguments.name;
    config.listen = arguments.listen;
    config.seeds = arguments.seed;
    config.keys = arguments.key.map(Keyring::new);
    let default_dir = || config.keys.is_none().then(|| std::env::temp_dir().join("mesh-example"));
    config.state_dir = arguments.state_dir.or_else(default_dir);
    let gossip = Gossip::spawn(config).await?;
    let mut events = gossip.events();
    let say = |what: serde_json::Value| if arguments.json { println!("{what}") } else { println!("{}", plain(&what)) };
    let at: Vec<_> = gossip.local_addresses().iter().map(ToString::to_string).collect();
    say(json!({"event": "started", "member": gossip.me().to_string(), "at": at.join(" ")}));
    for (key, value) in arguments.set {
        gossip.set(key, value).await?;
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let patience = tokio::time::sleep(Duration::from_secs(5));
    tokio::pin!(patience);
    let mut explained = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut patience, if !explained => {
                explained = true;
                if let JoinState::Seeking(obstacle) = gossip.join_state() {
                    say(json!({"event": "seeking", "why": obstacle.to_string()}));
                }
            }
            event = events.next() => match event {
                Ok(event) => told(&gossip, &event).into_iter().for_each(&say),
                Err(EventsError::Lagged(missed)) => say(json!({"event": "lagged", "missed": missed})),
                Err(EventsError::Stopped) => anyhow::bail!("the node has stopped"),
            },
        }
    }
    gossip.leave().await?;
    say(json!({"event": "left"}));
    Ok(())
}

/// What there is to say about an event.
fn told(gossip: &Gossip, event: &Event) -> Vec<serde_json::Value> {
    let records = |member: &mesh_gossip::MemberId, changed: &[std::sync::Arc<Record>]| {
        let one = |record: &std::sync::Arc<Record>| {
            let value = match record.value() {
                Value::Inline(value) => String::from_utf8_lossy(value).into_owned(),
                other => format!("{other:?}"),
            };
            json!({"event": "record", "member": member.to_string(), "key": record.key().as_str(), "value": value})
        };
        changed.iter().map(one).collect()
    };
    match event {
        Event::Member { member, standing } => {
            let view = gossip.view();
            let at = view.member(member).and_then(|member| Some(member.alive().body().addresses.first()?.gossip()));
            let live = view.live().count();
            let at = at.map(|at| at.to_string());
            vec![json!({"event": word(*standing), "member": member.to_string(), "at": at, "live": live})]
        }
        Event::Forgotten(member) => vec![json!({"event": "forgotten", "member": member.to_string()})],
        Event::Records { member, changed } => records(member, changed),
        Event::Joined => vec![json!({"event": "joined", "live": gossip.view().live().count()})],
        Event::Moved { to } => vec![json!({"event": "moved", "member": to.to_string()})],
        _ => Vec::new(),
    }
}

/// The same as words.
fn plain(what: &serde_json::Value) -> String {
    let fields = what.as_object().into_iter().flatten().filter(|(name, _)| *name != "event");
    let rest: Vec<_> = fields.map(|(name, value)| format!("{name} {}", value.to_string().trim_matches('"'))).collect();
    format!("{:<9} {}", what["event"].as_str().unwrap_or_default(), rest.join(", "))
}
