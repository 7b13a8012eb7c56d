//! Opening a connection: TLS with the expected member, then both proofs.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{ConnectError, Connection, ConnectionError, RecvStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::close::Close;
use super::error::DialError;
use super::link::Link;
use super::pool::{Landing, Way};
use super::proof::{Binding, EXPORTER_LABEL, PROOF_BYTES, ProofError, Role};
use super::quic::Shared;
use super::socket;
use super::tls;
use crate::id::{MemberId, PublicKey};

impl Shared {
    /// A link to `member`: the one there is, or the outcome of the one dial that all callers share. Dropping the future
    /// does not end the dial, whose link may serve the next caller.
    pub(super) async fn link_to(
        self: &Arc<Self>,
        member: MemberId,
        address: SocketAddr,
    ) -> Result<Arc<Link>, DialError> {
        if member == self.me {
            return Err(DialError::Myself);
        }
        let mut outcome = match self.pool.way_to(member)? {
            Way::Open(link) => return Ok(link),
            Way::Joined(outcome) => outcome,
            Way::First(landing, outcome) => {
                self.spawn(dial(Arc::clone(self), member, address, landing));
                outcome
            }
        };
        let told = outcome.wait_for(Option::is_some).await.map_err(|_| DialError::Closed)?;
        told.clone().unwrap_or(Err(DialError::Closed))
    }
}

async fn dial(shared: Arc<Shared>, member: MemberId, address: SocketAddr, landing: Landing) {
    let attempt = reach(&shared, member, address);
    let outcome = tokio::time::timeout(shared.limits.handshake_deadline, attempt).await;
    let outcome = outcome.unwrap_or(Err(DialError::NoAnswer));
    match &outcome {
        Ok(_) => shared.counters.dialled.count(),
        Err(_) => shared.counters.dials_failed.count(),
    }
    landing.land(outcome);
}

async fn reach(shared: &Arc<Shared>, member: MemberId, address: SocketAddr) -> Result<Arc<Link>, DialError> {
    if shared.trust.is_banned(&member) {
        return Err(DialError::BannedHere);
    }
    let address = socket::for_socket(shared.local, address).ok_or(DialError::Unreachable)?;
    let (config, answerer) = shared.client_config(member, address).map_err(|_| DialError::OtherProtocol)?;
    let mut refused = shared.refused.subscribe();
    let connecting = shared.endpoint.connect_with(config, address, "mesh").map_err(|error| match error {
        ConnectError::EndpointStopping => DialError::Closed,
        _ => DialError::Unreachable,
    })?;
    let connected = tokio::select! {
        connected = connecting => connected,
        () = refusal(&mut refused, address) => return Err(DialError::NobodyThere),
    };
    let connection = connected.map_err(|error| match answerer.get() {
        Some(found) if *found == shared.me => DialError::Myself,
        Some(&found) if found != member => DialError::WrongMember { found },
        _ => explain(&error),
    })?;
    let link = introduce(shared, &connection, member).await.map_err(|reason| match reason {
        Ok(broken) => explain(&broken),
        Err(refused) => {
            shared.refuse(&connection, refused);
            match refused {
                Close::OtherMesh => DialError::OtherMesh,
                Close::WrongKey => DialError::WrongKey,
                Close::Busy => DialError::Full,
                Close::Shutdown => DialError::Closed,
                _ => DialError::OtherProtocol,
            }
        }
    })?;
    let used = shared.pool.admit(&link);
    if let Err(reason) = used {
        shared.refuse(&connection, reason);
        return Err(if reason == Close::Busy { DialError::Full } else { DialError::Closed });
    }
    link.unlock();
    shared.serve(link);
    used.map_err(|_| DialError::Closed)
}

/// Waits until the system says that nobody listens at `address`.
async fn refusal(refused: &mut broadcast::Receiver<SocketAddr>, address: SocketAddr) {
    loop {
        match refused.recv().await {
            Ok(at) if at == socket::canonical(address) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Proves us to the listener, then has it prove itself. The error is what broke, or why we refuse the listener.
async fn introduce(
    shared: &Shared,
    connection: &Connection,
    member: MemberId,
) -> Result<Arc<Link>, Result<ConnectionError, Close>> {
    let binding = bind(shared, connection, Role::Dialler).ok_or(Err(Close::BadProof))?;
    let keys = shared.trust.mesh_keys();
    let key = keys.first().ok_or(Err(Close::WrongKey))?;
    let lost = |connection: &Connection| match connection.close_reason() {
        Some(reason) => Ok(reason),
        None => Err(Close::BadProof),
    };
    let (mut send, mut receive) = connection.open_bi().await.map_err(Ok)?;
    send.write_all(&binding.prove(Role::Dialler, shared.session, key)).await.map_err(|_| lost(connection))?;
    send.finish().map_err(|_| lost(connection))?;
    let proof = read_proof(&mut receive).await.map_err(|_| lost(connection))?;
    let proved = binding.verify(Role::Listener, &proof, &keys).map_err(|error| Err(refusal_of(error)))?;
    Ok(Link::new(connection.clone(), member, proved.session, keys[proved.key].hash(), Role::Dialler))
}

/// What the proofs on `connection` are about; `None` when TLS did not do what we told it to.
pub(super) fn bind(shared: &Shared, connection: &Connection, role: Role) -> Option<Binding> {
    let theirs: PublicKey = tls::peer_key(connection)?;
    let (dialler, listener) = match role {
        Role::Dialler => (shared.key, theirs),
        Role::Listener => (theirs, shared.key),
    };
    let mut exported = [0; 32];
    connection.export_keying_material(&mut exported, EXPORTER_LABEL, b"").ok()?;
    Some(Binding { mesh: shared.mesh, dialler, listener, exported })
}

/// Nothing of a peer that sends more, or something else, than a proof.
#[derive(Debug)]
pub(super) struct NotAProof;

/// Reads exactly one proof up to the stream's end. Pieces are taken in whatever order they come, so that nothing an
/// unproved peer sends waits in a buffer, and the first byte too many ends it.
pub(super) async fn read_proof(stream: &mut RecvStream) -> Result<[u8; PROOF_BYTES], NotAProof> {
    let mut proof = [0; PROOF_BYTES];
    let mut missing = PROOF_BYTES;
    while let Some(piece) = stream.read_chunk(usize::MAX, false).await.map_err(|_| NotAProof)? {
        let start = usize::try_from(piece.offset).map_err(|_| NotAProof)?;
        let place = start.checked_add(piece.bytes.len()).and_then(|end| proof.get_mut(start..end));
        place.ok_or(NotAProof)?.copy_from_slice(&piece.bytes);
        // No byte comes twice: the stream keeps account of what it has handed out.
        missing = missing.checked_sub(piece.bytes.len()).ok_or(NotAProof)?;
    }
    if missing == 0 { Ok(proof) } else { Err(NotAProof) }
}

pub(super) fn refusal_of(error: ProofError) -> Close {
    match error {
        ProofError::Malformed => Close::BadProof,
        ProofError::OtherMesh => Close::OtherMesh,
        ProofError::WrongKey => Close::WrongKey,
    }
}

fn explain(error: &ConnectionError) -> DialError {
    match error {
        ConnectionError::ApplicationClosed(close) => match Close::from_code(close.error_code) {
            Some(Close::WrongKey) => DialError::WrongKey,
            Some(Close::OtherMesh) => DialError::OtherMesh,
            Some(Close::BadProof | Close::Handshake) => DialError::OtherProtocol,
            Some(Close::Banned) => DialError::BannedThere,
            Some(Close::Myself) => DialError::Myself,
            Some(Close::Busy) => DialError::Busy,
            _ => DialError::Broken,
        },
        ConnectionError::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
        {
            DialError::Busy
        }
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch => DialError::OtherProtocol,
        ConnectionError::TimedOut => DialError::NoAnswer,
        ConnectionError::LocallyClosed => DialError::Closed,
        ConnectionError::Reset | ConnectionError::CidsExhausted => DialError::Broken,
    }
}
