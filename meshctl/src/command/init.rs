//! `meshctl init`: the keys of a mesh on this machine, new ones or those of an invitation.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use mesh_gossip::identity::mesh_key;
use mesh_gossip::identity::operator::{OperatorKey, OperatorKeyError, parse_public};
use mesh_gossip::keyring::{Keyring, MeshKey};

use crate::book;
use crate::home::Home;
use crate::invitation::Invitation;
use crate::output;
use crate::settings;

/// How this machine becomes part of a mesh.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Join the mesh of an invitation instead of beginning one.
    #[arg(long, value_name = "INVITATION")]
    join: Option<Invitation>,
    /// The address that seed and agents listen on for other machines: `0.0.0.0`, or that of one interface.
    #[arg(long, value_name = "IP")]
    listen: Option<IpAddr>,
    /// Replace the keys that are here already.
    #[arg(long, requires = "join")]
    force: bool,
}

impl Init {
    /// Makes or takes the keys.
    ///
    /// # Errors
    /// When keys are here already that are not those of the invitation, or the disk refuses.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let home = Home::of_user()?;
        home.make(&home.state())?;
        let mut changes = BTreeMap::new();
        if let Some(address) = self.listen {
            changes.insert("listen", address.to_string());
        }
        match &self.join {
            None => begin(&home)?,
            Some(invitation) => {
                self.join(&home, invitation)?;
                changes.insert("seeds", invitation.seeds.join(","));
                changes.insert("mesh", invitation.mesh.clone());
            }
        }
        if !changes.is_empty() {
            settings::set(&home, &changes)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn join(&self, home: &Home, invitation: &Invitation) -> anyhow::Result<()> {
        let mut keys = invitation.keys.iter().map(|key| key.parse::<MeshKey>());
        let mut ring = Keyring::new(keys.next().context("the invitation holds no key")??);
        for key in keys {
            ring.install(key?)?;
        }
        let path = home.state().join("mesh.key");
        if path.exists() && !self.force {
            let ours = mesh_key::load_or_create(&home.state())?;
            if ours.primary().to_text() != ring.primary().to_text() {
                bail!(
                    "{} holds the key of another mesh: stop what runs here (meshctl stop), then join with --force",
                    path.display()
                );
            }
        }
        mesh_key::store(&home.state(), &ring)?;
        if let Some(operator) = &invitation.operator {
            parse_public(operator).context("the invitation's operator key is damaged")?;
            book::replace(&home.state().join("operator.pub"), operator.as_bytes())?;
        }
        output::say(format_args!("This machine belongs to mesh '{}' now", invitation.mesh));
        output::say(format_args!("First contacts: {}", invitation.seeds.join(", ")));
        output::say("Next: meshctl start <agent>");
        Ok(())
    }
}

fn begin(home: &Home) -> anyhow::Result<()> {
    let state = home.state();
    let known = state.join("mesh.key").exists();
    let ring = mesh_key::load_or_create(&state)?;
    let made = if known { "was here already" } else { "made" };
    output::say(format_args!("Mesh key {} {made}: {}", ring.primary().hash(), state.join("mesh.key").display()));
    let made = match OperatorKey::make(&state) {
        Ok(_) => "made",
        Err(OperatorKeyError::Exists { .. }) => "was here already",
        Err(error) => return Err(error.into()),
    };
    output::say(format_args!("Operator key {made}: {}", state.join("operator.key").display()));
    output::say("Next: meshctl start <agent>; meshctl invite for a second machine");
    Ok(())
}

/// The operator's public key in `state`, as text.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn operator_text(state: &Path) -> anyhow::Result<Option<String>> {
    let path = state.join("operator.pub");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow!(error).context(format!("cannot read {}", path.display()))),
    }
}
