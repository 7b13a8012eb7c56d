//! Links that lose and delay what they carry: a relay in user space, since few kernels have netem.
//!
//! Every member has an address at which it listens, and another one under which all others know it. The relay sits on the
//! latter: what comes to it goes on to the former, later or never, and seems to come from where its sender is known.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mesh::args;
use mesh_node::call::{Caller, Request, Target};
use mesh_node::context::Outlet;
use mesh_tests::fuzz::Dice;
use mesh_tests::lab::{PATIENCE, Process};
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::scene::Scene;

/// One way.
const DELAY: Duration = Duration::from_millis(50);

/// One packet out of so many is lost.
const LOST_OF: usize = 5;

/// How many packets are under way to one address; further ones are lost.
const UNDER_WAY: usize = 4_096;

/// Where one member is.
#[derive(Clone, Copy)]
struct Place {
    listens: Ipv4Addr,
    known: Ipv4Addr,
    gossip: u16,
    quic: u16,
}

/// All links between a few members.
struct Relay {
    places: Vec<Place>,
    carried: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// A packet under way.
struct Packet {
    due: Instant,
    bytes: Bytes,
    /// The relay's socket from which it goes on.
    by: Arc<UdpSocket>,
}

impl Relay {
    async fn between(members: u8) -> Self {
        // A part of loopback that is nobody else's.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let at = |last| Ipv4Addr::new(127, 1 + high % 250, low, last);
        let (mut places, mut ends) = (Vec::new(), Vec::new());
        for member in 1..=members {
            let (listens, known) = (at(member), at(100 + member));
            let mut ports = [0; 2];
            for port in &mut ports {
                let socket = Arc::new(UdpSocket::bind((known, 0)).await.unwrap());
                *port = socket.local_addr().unwrap().port();
                ends.push((SocketAddr::from((listens, *port)), socket));
            }
            places.push(Place { listens, known, gossip: ports[0], quic: ports[1] });
        }
        let known_as: Arc<HashMap<_, _>> = Arc::new(ends.iter().cloned().collect());
        let (carried, lost) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for (number, (to, socket)) in ends.into_iter().enumerate() {
            let (queue, packets) = mpsc::channel(UNDER_WAY);
            let (known_as, lost) = (Arc::clone(&known_as), Arc::clone(&lost));
            tasks.spawn(async move {
                let mut dice = Dice::seeded(number as u64 + 1);
                let mut buffer = vec![0; 1 << 16];
                while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    let Some(by) = known_as.get(&from) else { continue };
                    let packet = Packet {
                        due: Instant::now() + DELAY,
                        bytes: Bytes::copy_from_slice(&buffer[..length]),
                        by: Arc::clone(by),
                    };
                    if dice.below(LOST_OF) == 0 || queue.try_send(packet).is_err() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            tasks.spawn(deliver(packets, to, Arc::clone(&carried)));
        }
        Self { places, carried, lost, _tasks: tasks }
    }
}

async fn deliver(mut packets: mpsc::Receiver<Packet>, to: SocketAddr, carried: Arc<AtomicU64>) {
    while let Some(packet) = packets.recv().await {
        sleep_until(packet.due).await;
        // Whoever listens there may be gone.
        if packet.by.send_to(&packet.bytes, to).await.is_ok() {
            carried.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn start(scene: &Scene, place: Place) -> Process {
    let mut victim = scene.command();
    victim.env("MESH_LISTEN", SocketAddr::from((place.listens, place.gossip)).to_string());
    victim.env("MESH_QUIC_PORT", place.quic.to_string()).env("MESH_ADVERTISE", place.known.to_string());
    scene.lab.start(&mut victim)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_of_all_packets_lost_and_fifty_milliseconds_on_every_link_cost_time_and_nobody() {
    let relay = Relay::between(4).await;
    let [own, others @ ..] = &relay.places[..] else { unreachable!("there are four") };
    let scene = Scene::configured(|config| {
        config.mesh.listen = Some((own.listens, own.gossip).into());
        config.mesh.quic_port = own.quic;
        config.mesh.advertise = Some(own.known.into());
    })
    .await;
    let victims: Vec<_> = others.iter().map(|place| start(&scene, *place)).collect();
    scene.until_offered_by(3).await;
    let gossip = scene.consumer.node().gossip();
    let echo = scene.dep::<String>("echo");
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < Duration::from_secs(4) {
        let issued = Instant::now();
        assert_eq!(echo.call(args! { text: "hello" }).await.unwrap(), "hello", "after {times:?}");
        times.push(issued.elapsed());
    }
    times.sort();
    let (fastest, slowest) = (times[0], times[times.len() - 1]);
    println!(
        "{} calls, {fastest:?} to {slowest:?}; packets: {:?} carried, {:?} lost",
        times.len(),
        relay.carried,
        relay.lost
    );
    assert!(fastest >= 2 * DELAY, "{fastest:?}: that did not go through the relay");
    let large = "~".repeat(1 << 20);
    assert_eq!(echo.call(args! { text: &large }).await.unwrap(), large);
    assert!(relay.lost.load(Ordering::Relaxed) > 50, "{:?}", relay.lost);

    assert_eq!(gossip.metrics().await.unwrap().counts.deaths, 0);
    for victim in &victims {
        let url = scene.file(victim).await.http_url.unwrap();
        let seen: Value =
            serde_json::from_str(&scene.lab.succeed(&["members", "--all", "--json", "--node", &url])).unwrap();
        let states: Vec<_> = seen["members"].as_array().unwrap().iter().map(|member| &member["state"]).collect();
        assert!(
            states.len() == 4 && states.iter().all(|state| matches!(state.as_str(), Some("alive" | "suspect"))),
            "{seen}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_begins_the_moment_its_callee_appears_goes_on_for_as_long_as_it_likes() {
    const CALLEES: usize = 4;
    let scene = Scene::new().await;
    let _victims: [Process; CALLEES] = std::array::from_fn(|_| scene.victim());
    let gossip = scene.consumer.node().gossip();
    let mut views = gossip.watch();
    let (mut streams, mut known) = (JoinSet::new(), BTreeSet::new());
    // At this moment both ends have something to ask, and may connect at once; one of the connections is given up.
    while known.len() < CALLEES {
        let view = Arc::clone(&views.borrow_and_update());
        let callees =
            view.catalog().agents().filter(|agent| agent.offers.is_some_and(|offers| !offers.tools.is_empty()));
        for owner in callees.map(|agent| agent.owner.clone()) {
            if known.insert(owner.clone()) {
                let request = Request { tool: Some("pour".into()), ..Request::new(Target::Exactly(owner), "{}") };
                let caller = scene.consumer.node().caller().clone();
                streams.spawn(async move { listened(caller, request).await });
            }
        }
        tokio::time::timeout(PATIENCE, views.changed()).await.expect("all appear").unwrap();
    }
    while let Some(ended) = streams.join_next().await {
        assert_eq!(ended.unwrap(), Ok(()));
    }
}

/// Takes a piece ten times a second for longer than anything is waited for beneath.
async fn listened(caller: Caller, request: Request) -> Result<(), String> {
    let (queue, mut pieces) = mpsc::channel(1);
    let taken = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..110 {
            ticks.tick().await;
            if pieces.recv().await.is_none() {
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        ended = caller.call_streaming(request, Outlet::to(queue)) => Err(format!("{:?}", ended.map(drop))),
        () = taken => Ok(()),
    }
}
