//! `meshctl seed`: a node with a well-known address, which offers nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use mesh_gossip::seeds::DEFAULT_GOSSIP_PORT;
use mesh_node::config::{NodeConfig, PortTaken};
use mesh_node::node::{Node, Plug, interrupted};
use mesh_node::registry;
use tracing_subscriber::EnvFilter;

use crate::bystander::Bystander;
use crate::seed::is_taken;
use crate::settings;

/// Where the seed listens.
#[derive(Debug, Args)]
pub(crate) struct Seed {
    /// Where to listen for gossip: an IP address, with a port when it must be just that one.
    #[arg(long, value_name = "IP[:PORT]", value_parser = listen)]
    listen: Option<(IpAddr, Option<u16>)>,
    /// The UDP port, when it is free; otherwise a free one is taken.
    #[arg(long, default_value_t = DEFAULT_GOSSIP_PORT)]
    port: u16,
    /// The HTTP port, when it must be just that one.
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
}

impl Seed {
    /// Runs until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// When the configuration is of no use or a port is taken.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr()?;
        let mut config = NodeConfig::seed().load()?;
        let told = self.listen.map_or_else(|| of_environment(&config), |(ip, port)| (ip, port));
        config.mesh.listen = Some(self.address(told));
        if let Some(port) = self.http_port {
            config.http.listen.set_port(port);
            config.http.port_taken = PortTaken::Refuse;
        }
        let plug = Plug { registry: Some(registry::api()), ..Plug::new(Arc::new(Bystander::new())) };
        let node = Node::start(config, plug).await.context("the seed does not start")?;
        let gossip = node.gossip().local_addresses().first().map(ToString::to_string).unwrap_or_default();
        tracing::info!(gossip, http = node.http_url().unwrap_or("none"), "seed is running");
        interrupted().await;
        node.stop().await;
        tracing::info!("seed has stopped");
        Ok(ExitCode::SUCCESS)
    }

    fn address(&self, (ip, port): (IpAddr, Option<u16>)) -> SocketAddr {
        let usual = SocketAddr::new(ip, self.port);
        match port {
            Some(port) => SocketAddr::new(ip, port),
            None if is_taken(usual) => {
                tracing::warn!(wanted = %usual, "the gossip port is taken, using a free one");
                SocketAddr::new(ip, 0)
            }
            None => usual,
        }
    }
}

/// What `MESH_LISTEN` said, if anything.
fn of_environment(config: &NodeConfig) -> (IpAddr, Option<u16>) {
    let usual = NodeConfig::seed().mesh.listen;
    match config.mesh.listen {
        Some(address) if config.mesh.listen != usual => (address.ip(), Some(address.port())),
        _ => (Ipv4Addr::LOCALHOST.into(), None),
    }
}

fn listen(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let address = text.parse::<SocketAddr>().map(|address| (address.ip(), Some(address.port())));
    let ip = || text.parse::<IpAddr>().map(|ip| (ip, None));
    address.or_else(|_| ip()).map_err(|_| format!("{text:?} is no address: write `0.0.0.0` or `0.0.0.0:7745`"))
}

/// Writes the log to standard error: what `MESH_LOG` selects, else all of the level that `MCP_MESH_LOG_LEVEL` says; of
/// the MCP library, which logs every message, only what is wrong, and nothing of the vendors' client, whose errors quote
/// what was asked.
///
/// # Errors
/// When that names no level.
pub(crate) fn log_to_stderr() -> anyhow::Result<()> {
    let level = match std::env::var("MCP_MESH_LOG_LEVEL") {
        Ok(text) => settings::log_level(&text).map_err(anyhow::Error::msg).context("MCP_MESH_LOG_LEVEL")?,
        Err(_) => "info",
    };
    let filter =
        EnvFilter::try_from_env("MESH_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},rmcp=warn,genai=off")));
    // Where standard error is a file on a full disk, saying that it is would panic.
    let log = tracing_subscriber::fmt().with_writer(io::stderr).log_internal_errors(false);
    log.with_ansi(false).with_env_filter(filter).init();
    Ok(())
}
