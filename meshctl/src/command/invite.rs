//! `meshctl invite`.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use mesh_gossip::identity::mesh_key;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::seeds::SeedSpec;

use super::init::operator_text;
use crate::home::Home;
use crate::invitation::Invitation;
use crate::output;
use crate::seed;
use crate::settings::Settings;

/// Whom the other machine asks first.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// Host or address under which the other machine reaches this one. Default: that of the route to the outside.
    #[arg(long)]
    host: Option<String>,
}

impl Invite {
    /// Prints the line. It holds the mesh key.
    ///
    /// # Errors
    /// When there is no key to give, or the host is none.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let home = Home::of_user()?;
        let settings = Settings::load(&home)?;
        let ring = keys(&home)?;
        let (seeds, is_local) = self.seeds(&home, &settings)?;
        let running = seed::running(&home);
        let mesh = running.first().map_or_else(|| settings.mesh.clone(), |seed| seed.mesh.clone());
        let invitation = Invitation {
            mesh,
            keys: ring.keys().map(|key| key.to_text().to_string()).collect(),
            seeds,
            operator: operator_text(&home.state())?,
        };
        output::say(format_args!("meshctl init --join {invitation}"));
        if is_local {
            output::remark(
                "note: the seed listens on loopback, so that this works on this machine only; for others: \
                 meshctl stop, meshctl init --listen 0.0.0.0, and start again",
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    /// First contacts for another machine, and whether only this machine can reach them.
    fn seeds(&self, home: &Home, settings: &Settings) -> anyhow::Result<(Vec<String>, bool)> {
        if let Some(host) = &self.host {
            let port = seed::running(home).first().map_or(settings.seed_port, |seed| seed.gossip.port());
            let told: SeedSpec = host.parse()?;
            let has_port = host.parse::<SocketAddr>().is_ok() || (host.matches(':').count() == 1);
            let spec = if has_port { told.to_string() } else { with_port(&told, port) };
            return Ok((vec![spec], false));
        }
        if !settings.seeds.is_empty() {
            return Ok((settings.seeds.clone(), false));
        }
        let gossip = match seed::running(home).first() {
            Some(seed) => seed.gossip,
            None => SocketAddr::new(settings.listen.unwrap_or([127, 0, 0, 1].into()), settings.seed_port),
        };
        let ip = match gossip.ip() {
            ip if ip.is_unspecified() => {
                seed::outward_address().context("cannot tell how others reach this machine: give --host")?
            }
            ip => ip,
        };
        Ok((vec![SocketAddr::new(ip, gossip.port()).to_string()], ip.is_loopback()))
    }
}

/// The keys of this home, or those of `MESH_KEY`.
fn keys(home: &Home) -> anyhow::Result<Keyring> {
    let Ok(told) = std::env::var("MESH_KEY") else {
        return mesh_key::load_or_create(&home.state()).context("there is no mesh to invite to");
    };
    let mut keys = told.split(',').map(|key| key.trim().parse::<MeshKey>());
    let mut ring = Keyring::new(keys.next().context("MESH_KEY is empty")?.context("MESH_KEY")?);
    for key in keys {
        ring.install(key.context("MESH_KEY")?)?;
    }
    Ok(ring)
}

fn with_port(spec: &SeedSpec, port: u16) -> String {
    let text = spec.to_string();
    let host = text.rsplit_once(':').map_or(text.as_str(), |(host, _)| host);
    format!("{host}:{port}")
}
