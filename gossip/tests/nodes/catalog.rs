//! What a node offers, others can resolve.

use mesh_gossip::catalog::{AgentId, Health, Offers, Tool};
use mesh_gossip::gossip::{Gossip, keys};
use mesh_gossip::resolve::resolve;
use mesh_gossip::resolve::selector::Selector;

use crate::bench::{config, has_asked, see_each_other, spawn, until};

async fn offer(node: &Gossip, name: &str, description: &str) -> AgentId {
    let agent = AgentId::native(name, &node.me()).unwrap();
    let mut offers = Offers::new(agent.clone(), name);
    offers.tools.push(Tool::new("today", "weather"));
    offers.description = description.into();
    node.set(keys::offers(&agent).unwrap(), offers.encode().unwrap()).await.unwrap();
    agent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_offers_another_resolves_until_its_health_or_its_life_ends() {
    let asker = spawn(config(&[])).await;
    let first = spawn(config(&[&asker])).await;
    let second = spawn(config(&[&asker])).await;
    see_each_other(&[&asker, &first, &second]).await;
    let healthy = offer(&first, "sun", "").await;
    // Too long for a record: it travels as a blob. Noise, since text would be compressed.
    let noise = |at: u32| char::from(b'a' + byte_of_noise(at) % 26);
    let long: String = (0..16_000).map(noise).collect();
    let other = offer(&second, "rain", &long).await;
    let selector = Selector::new("weather");
    let provided = |view: &mesh_gossip::View| -> Vec<AgentId> {
        let resolution = resolve(view.catalog(), view.schemas(), &selector);
        resolution.candidates.iter().map(|candidate| candidate.offer.agent().clone()).collect()
    };
    until(&asker, "two providers", |view| provided(view).len() == 2).await;
    let ill = Health { status: mesh_gossip::catalog::Status::Unhealthy, ..Health::default() };
    first.set(keys::health(&healthy).unwrap(), ill.encode().unwrap()).await.unwrap();
    until(&asker, "the healthy one", |view| provided(view) == [other.clone()]).await;
    first.remove(keys::health(&healthy).unwrap()).await.unwrap();
    until(&asker, "two again", |view| provided(view).len() == 2).await;
    has_asked(&asker, second.me()).await;
    drop(second);
    until(&asker, "the one that lives", |view| provided(view) == [healthy.clone()]).await;
}

fn byte_of_noise(at: u32) -> u8 {
    let mixed = at.wrapping_mul(0x9e37_79b9) ^ (at >> 3).wrapping_mul(0x85eb_ca6b);
    (mixed ^ (mixed >> 15)).wrapping_mul(0xc2b2_ae35).to_le_bytes()[3]
}
