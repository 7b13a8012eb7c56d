//! Accepting connections: address, handshake, ban list, proof, in that order and within one deadline.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use quinn::{Connection, Incoming};
use tokio::time::{Instant, timeout_at};

use super::close::Close;
use super::dial::{bind, read_proof, refusal_of};
use super::link::Link;
use super::proof::Role;
use super::quic::Shared;
use super::socket;
use super::tls;
use crate::id::MemberId;

/// Counts the newcomers that have not proved anything yet, so that neither all of them together nor one source can
/// hold more of us than agreed.
#[derive(Debug)]
pub(super) struct Door {
    total: usize,
    per_source: usize,
    inside: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A newcomer's place at the door, free again when dropped.
struct Place {
    door: Arc<Door>,
    source: IpAddr,
}

impl Door {
    pub(super) fn new(total: usize, per_source: usize) -> Arc<Self> {
        Arc::new(Self { total, per_source, inside: Mutex::default() })
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let source = source_of(address);
        let mut inside = self.lock();
        let (all, of_source) = (inside.values().sum::<usize>(), inside.get(&source).copied().unwrap_or(0));
        // On this machine one address is everybody.
        let per_source = if source.is_loopback() { self.total } else { self.per_source };
        if all >= self.total || of_source >= per_source {
            return None;
        }
        inside.insert(source, of_source + 1);
        Some(Place { door: Arc::clone(self), source })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.inside.lock().expect("nothing panics while it holds the door")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        if let Some(count) = inside.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.source);
            }
        }
    }
}

/// Who owns one IPv6 address usually owns the /64 around it.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            if six.is_loopback() {
                return address;
            }
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four => four,
    }
}

/// Accepts until the endpoint is closed.
pub(super) async fn accept(shared: Arc<Shared>) {
    let door = Door::new(shared.limits.max_unproved, shared.limits.max_unproved_per_source);
    while let Some(incoming) = shared.endpoint.accept().await {
        let from = socket::canonical(incoming.remote_address());
        if !incoming.remote_address_validated() && !shared.trust.is_known(from) {
            shared.counters.retries.count();
            // It fails only for addresses that are validated.
            let _ = incoming.retry();
            continue;
        }
        match door.enter(from.ip()) {
            Some(place) => shared.spawn(greet(Arc::clone(&shared), incoming, place)),
            None => {
                shared.counters.closed(Close::Busy);
                incoming.refuse();
            }
        }
    }
}

async fn greet(shared: Arc<Shared>, incoming: Incoming, place: Place) {
    let from: SocketAddr = socket::canonical(incoming.remote_address());
    let deadline = Instant::now() + shared.limits.handshake_deadline;
    let accepted = match socket::is_here(from) {
        true => incoming.accept_with(Arc::clone(&shared.greeting_here)),
        false => incoming.accept(),
    };
    let shaken = async { accepted?.await };
    let connection = match timeout_at(deadline, shaken).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            shared.counters.closed(Close::Handshake);
            tracing::debug!(%from, %error, "a handshake failed");
            return;
        }
        Err(_) => return shared.counters.closed(Close::Late),
    };
    match timeout_at(deadline, introduce(&shared, &connection)).await.unwrap_or(Err(Close::Late)) {
        Ok(link) => {
            shared.counters.accepted.count();
            shared.serve(link);
        }
        Err(reason) => {
            tracing::debug!(%from, ?reason, "a newcomer was refused");
            shared.refuse(&connection, reason);
        }
    }
    drop(place);
}

/// Has the dialler prove itself, takes the link up, then proves us.
async fn introduce(shared: &Shared, connection: &Connection) -> Result<Arc<Link>, Close> {
    let member = MemberId::of(&tls::peer_key(connection).ok_or(Close::Handshake)?);
    if member == shared.me {
        return Err(Close::Myself);
    }
    if shared.trust.is_banned(&member) {
        return Err(Close::Banned);
    }
    let binding = bind(shared, connection, Role::Listener).ok_or(Close::Handshake)?;
    let (mut send, mut receive) = connection.accept_bi().await.map_err(|_| Close::BadProof)?;
    let proof = read_proof(&mut receive).await.map_err(|_| Close::BadProof)?;
    let keys = shared.trust.mesh_keys();
    let proved = binding.verify(Role::Dialler, &proof, &keys).map_err(refusal_of)?;
    let key = keys[proved.key].hash();
    let link = Link::new(connection.clone(), member, proved.session, key, Role::Listener);
    // Before the answer: once the dialler holds it, it counts on being known here.
    shared.pool.admit(&link)?;
    let answer = binding.prove(Role::Listener, shared.session, &keys[proved.key]);
    link.unlock();
    let sent = send.write_all(&answer).await.is_ok() && send.finish().is_ok();
    if !sent {
        shared.pool.forget(&link);
        return Err(Close::BadProof);
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn neither_one_source_nor_all_together_hold_more_places_than_agreed() {
        let door = Door::new(3, 2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = door.enter(ip("2001:db8::1")).unwrap();
        let _second = door.enter(ip("2001:db8::ffff")).unwrap();
        assert!(door.enter(ip("2001:db8::2")).is_none(), "a /64 is one source");
        let _third = door.enter(ip("192.0.2.1")).unwrap();
        assert!(door.enter(ip("192.0.2.2")).is_none(), "three are inside");
        drop(first);
        assert!(door.enter(ip("::ffff:192.0.2.1")).is_some());
        assert_eq!(door.lock().len(), 2);
        let nodes_here = Door::new(3, 1);
        let _two = (nodes_here.enter(ip("127.0.0.1")), nodes_here.enter(ip("::1")));
        assert!(nodes_here.enter(ip("127.0.0.1")).is_some() && nodes_here.enter(ip("::1")).is_some());
    }
}
