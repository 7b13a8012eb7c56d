//! Kinds of addresses, and that nothing is left when a node is gone.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use mesh_gossip::alive::Address;
use mesh_gossip::gossip::{GossipConfig, SpawnError};
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::transport::udp::Datagrams;

use crate::bench::{PATIENCE, config, loopback, offers, see_each_other, spawn, until};

fn loopback6() -> SocketAddr {
    (Ipv6Addr::LOCALHOST, 0).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_both_kinds_of_addresses_joins_those_with_one() {
    if Datagrams::bind(loopback6()).is_err() {
        return; // a machine without IPv6
    }
    let both = spawn(GossipConfig { listen: vec![loopback(), loopback6()], ..config(&[]) }).await;
    let four = spawn(config(&[&both])).await;
    let six = spawn(GossipConfig {
        listen: vec![loopback6()],
        seeds: vec![SeedSpec::from(both.local_addresses()[1])],
        ..config(&[])
    })
    .await;
    for node in [&four, &six] {
        node.joined(PATIENCE).await.unwrap();
        node.set("kind".parse().unwrap(), "one").await.unwrap();
        until(&both, "its record", |view| offers(view, node.me(), "kind", "one")).await;
    }
    let another = spawn(GossipConfig { listen: vec![loopback6()], seeds: config(&[&six]).seeds, ..config(&[]) }).await;
    another.joined(PATIENCE).await.unwrap();
    until(&another, "those of its kind", |view| {
        [both.me(), six.me()].iter().all(|id| view.member(id).is_some_and(|member| member.is_live()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_advertised_is_what_was_told_and_a_taken_port_is_an_error_that_names_it() {
    let told = Address { ip: [127, 0, 0, 1].into(), gossip_port: 7, quic_port: 0 };
    let node = spawn(GossipConfig { advertise: vec![told], ..config(&[]) }).await;
    let said = node.view().member(&node.me()).unwrap().alive().body().addresses.clone();
    assert_eq!((said[0].ip, said[0].gossip_port), (told.ip, 7));
    assert_ne!(said[0].quic_port, 0, "the port that is in use");
    let taken = node.local_addresses()[0];
    let error = mesh_gossip::Gossip::spawn(GossipConfig { listen: vec![taken], ..config(&[]) }).await.unwrap_err();
    assert!(matches!(error, SpawnError::Listen { address, .. } if address == taken), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_handle_leaves_no_task() {
    let runtime = tokio::runtime::Handle::current().metrics();
    let before = runtime.num_alive_tasks();
    let first = spawn(config(&[])).await;
    let second = spawn(config(&[&first])).await;
    see_each_other(&[&first, &second]).await;
    let _calls = first.register(40, 1).await.unwrap();
    second.set("large".parse().unwrap(), vec![7; 100_000]).await.unwrap();
    second.joined(PATIENCE).await.unwrap();
    assert!(runtime.num_alive_tasks() > before);
    drop((first, second));
    let gone = async {
        while runtime.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
    assert!(gone.is_ok(), "{} tasks are left", runtime.num_alive_tasks() - before);
}
