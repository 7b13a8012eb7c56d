//! Whether agents are still where they were: doubts are followed up at once, and an open connection to each agent tells
//! when its process ends. An answer renews no lease; only a refused connection means something: nobody is there.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::AgentId;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::super::book::{Entry, State};
use super::super::events::EventKind;
use super::{Command, Keeper};
use crate::tls::Clients;

/// The most agents that are watched over an open connection; the others are probed when somebody doubts them.
const MAX_WATCHED: usize = 1_000;

/// The most probes at a time; what is doubted beyond is doubted again.
const MAX_PROBES: usize = 64;

/// How long connecting and answering may take. Whoever is slower may be alive.
const PROBE_WITHIN: Duration = Duration::from_secs(2);

/// How long until an agent that could not be connected to, or closed the connection, is tried again, and how far apart
/// such tries come to be.
const TRY_AGAIN: Duration = Duration::from_secs(1);
const TRY_SELDOM: Duration = Duration::from_secs(60);

/// What the keeper watches.
pub(in super::super) struct Vigil {
    client: reqwest::Client,
    clients: Clients,
    commands: mpsc::WeakSender<Command>,
    watched: BTreeMap<AgentId, (String, AbortOnDropHandle<()>)>,
    probes: JoinSet<Probed>,
}

/// Where an agent is.
struct Place {
    host: String,
    port: u16,
    /// How TLS is begun, where it is spoken.
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// An open connection.
enum Open {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a probe found.
pub(super) struct Probed {
    agent: AgentId,
    url: String,
    is_refused: bool,
}

impl Vigil {
    pub(in super::super) fn new(commands: mpsc::WeakSender<Command>, clients: &Clients) -> Self {
        let client = clients.builder().connect_timeout(PROBE_WITHIN).timeout(PROBE_WITHIN).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).build();
        let client = client.expect("a client that needs nothing of the system can be built");
        Self { client, clients: clients.clone(), commands, watched: BTreeMap::new(), probes: JoinSet::new() }
    }

    /// What the next probe finds; waits while there is none. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Probed {
        loop {
            match self.probes.join_next().await {
                Some(Ok(probed)) => return probed,
                // It did not run to its end: the doubt stands, and comes again.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Watches an agent where it is now, and not where it was.
    pub(super) fn watch(&mut self, entry: &Entry) {
        let agent = &entry.profile.agent;
        let url = entry.profile.url().filter(|_| entry.profile.is_probed() && entry.state == State::Healthy);
        let Some(url) = url else { return drop(self.watched.remove(agent)) };
        if self.watched.get(agent).is_some_and(|(watched, _)| *watched == url) {
            return;
        }
        self.watched.remove(agent);
        if self.watched.len() >= MAX_WATCHED {
            return;
        }
        let place = Place {
            host: entry.profile.host.trim_matches(['[', ']']).to_owned(),
            port: entry.profile.port,
            tls: self.clients.config().filter(|_| entry.profile.is_over_tls).cloned(),
        };
        let task = tokio::spawn(watch(agent.clone(), place, self.commands.clone()));
        self.watched.insert(agent.clone(), (url, AbortOnDropHandle::new(task)));
    }

    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.watched.remove(agent);
    }

    fn probe(&mut self, agent: AgentId, url: String) {
        if self.probes.len() >= MAX_PROBES {
            return;
        }
        let request = self.client.get(format!("{url}/livez"));
        self.probes.spawn(async move {
            let is_refused = request.send().await.is_err_and(|error| is_refused(&error));
            Probed { agent, url, is_refused }
        });
    }
}

impl Keeper {
    /// Somebody could not reach `agent`: looks whether anybody is there.
    pub(super) fn doubt(&mut self, agent: &AgentId) {
        let entry = self.book.get(agent).filter(|entry| entry.state == State::Healthy && entry.profile.is_probed());
        if let Some(url) = entry.and_then(|entry| entry.profile.url()) {
            self.vigil.probe(agent.clone(), url);
        }
    }

    pub(super) fn probed(&mut self, Probed { agent, url, is_refused }: Probed) {
        // It may have moved meanwhile.
        let is_there = self.book.get(&agent).is_some_and(|entry| entry.profile.url().as_ref() == Some(&url));
        if is_refused && is_there && self.book.lose(self.now(), &agent) {
            self.tell_end(&agent, EventKind::Unhealthy { reason: format!("nobody answers at {url}") });
        }
    }
}

/// Holds a connection to an agent open without ever using it, and doubts the agent when that breaks, or cannot be opened
/// again: servers close what is idle, and may end between two connections.
async fn watch(agent: AgentId, place: Place, commands: mpsc::WeakSender<Command>) {
    let mut pause = TRY_AGAIN;
    // Who does not listen yet, or never, is no worse for it.
    let mut was_there = false;
    loop {
        if let Ok(Ok(connection)) = timeout(PROBE_WITHIN, place.connect()).await {
            (pause, was_there) = (TRY_AGAIN, true);
            match connection {
                Open::Plain(stream) => hold(stream).await,
                Open::Tls(stream) => hold(*stream).await,
            }
        }
        if was_there {
            let Some(commands) = commands.upgrade() else { return };
            if commands.send(Command::Doubt { agent: agent.clone() }).await.is_err() {
                return;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(TRY_SELDOM);
    }
}

/// Reads what nobody asked for until the connection ends.
async fn hold(mut stream: impl AsyncRead + Unpin) {
    let mut unasked = [0; 64];
    while stream.read(&mut unasked).await.is_ok_and(|read| read > 0) {}
}

impl Place {
    /// Connects, and shakes hands where TLS is spoken: whoever does not is not kept for long there.
    async fn connect(&self) -> io::Result<Open> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let Some(tls) = &self.tls else { return Ok(Open::Plain(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        Ok(Open::Tls(Box::new(stream)))
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut beneath: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = beneath {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        beneath = error.source();
    }
    false
}
