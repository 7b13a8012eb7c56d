//! Two groups of agents on two machines, and the cable between them.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_tests::lab::{Lab, PATIENCE, Process};
use mesh_tests::room::Room;
use serde_json::Value;

use crate::scene::{self, victim};

/// Every look is a process of its own.
const LOOK: Duration = Duration::from_millis(250);

const PLACES: [&str; 2] = ["10.78.0.1", "10.78.0.2"];

/// An agent, and the machine it is on.
struct Member<'a> {
    room: &'a Room,
    lab: &'a Lab,
    gossip: String,
    url: String,
    _process: Process,
}

impl<'a> Member<'a> {
    async fn start(lab: &'a Lab, room: &'a Room, address: &str, seeds: &str) -> Self {
        let mut command = lab.command(victim());
        command.env("MESH_LISTEN", format!("{address}:0")).env("MESH_SEEDS", seeds);
        let process = lab.start(&mut room.inside(&command));
        let file = scene::file(lab, &process).await;
        let (gossip, url) = (file.gossip.to_string(), file.http_url.unwrap());
        Self { room, lab, gossip, url, _process: process }
    }

    fn meshctl(&self, arguments: &[&str]) -> String {
        let mut meshctl = self.lab.program("meshctl");
        let said = self.room.inside(meshctl.args(arguments).args(["--node", &self.url])).output().unwrap();
        assert!(said.status.success(), "{arguments:?}: {said:?}");
        String::from_utf8(said.stdout).unwrap()
    }

    /// The members it knows: whether each is live, which start of it this is, and where it is.
    fn sees(&self) -> BTreeMap<String, (bool, u64, String)> {
        let seen: Value = serde_json::from_str(&self.meshctl(&["members", "--all", "--json"])).unwrap();
        let told = |member: &Value| {
            let is_live = matches!(member["state"].as_str(), Some("alive" | "suspect"));
            let told = (is_live, member["generation"].as_u64().unwrap(), member["addresses"].to_string());
            (member["id"].to_string(), told)
        };
        seen["members"].as_array().unwrap().iter().map(told).collect()
    }

    /// Waits until it sees so many live ones, and gives where the others are.
    async fn until_sees(&self, live: usize) -> Vec<String> {
        let mut looks = tokio::time::interval(LOOK);
        let enough = async {
            loop {
                looks.tick().await;
                let seen = self.sees();
                if seen.values().filter(|(is_live, ..)| *is_live).count() == live {
                    return seen;
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, enough).await;
        let seen =
            seen.unwrap_or_else(|_| panic!("{} does not see {live} live members: {:?}", self.gossip, self.sees()));
        seen.into_values().filter(|(is_live, ..)| !is_live).map(|(.., addresses)| addresses).collect()
    }

    fn calls(&self) {
        assert!(self.meshctl(&["call", "echo", r#"{"text":"hello"}"#]).contains("hello"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_that_are_parted_go_on_by_themselves_and_are_one_mesh_again_when_they_can() {
    let _share = scene::share().await;
    let (lab, here) = (Lab::new(), Room::with_network());
    let there = here.neighbour();
    here.connect(&there, PLACES[0], PLACES[1]);
    let first = Member::start(&lab, &here, PLACES[0], "none").await;
    let seed = first.gossip.clone();
    let rest = [(&here, PLACES[0]), (&there, PLACES[1]), (&there, PLACES[1])];
    let mut members = vec![first];
    for (room, address) in rest {
        members.push(Member::start(&lab, room, address, &seed).await);
    }
    for member in &members {
        member.until_sees(4).await;
    }
    let before = members[0].sees();

    here.run("ip", &["link", "set", "cable", "down"]);
    for (member, other_side) in members.iter().zip([1, 1, 0, 0].map(|other| PLACES[other])) {
        let gone = member.until_sees(2).await;
        // Whom it only knew by hearsay it has forgotten.
        assert!(gone.len() <= 2 && gone.iter().all(|member| member.contains(other_side)), "{gone:?}");
        member.calls();
    }
    here.run("ip", &["link", "set", "cable", "up"]);
    for member in &members {
        member.until_sees(4).await;
        member.calls();
    }
    assert_eq!(members[0].sees(), before, "everybody is who they were");
}
