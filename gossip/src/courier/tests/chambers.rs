#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::record;
use crate::courier::address::{Name, version_of};
use crate::courier::chamber::Chamber;

async fn chamber(number: u32, generation: u64) -> Chamber {
    let alive = Arc::new(record(number, generation, 0));
    let name = Name::of(alive.id());
    Chamber::start(name, "m", &BTreeMap::from([(name, alive)]), Duration::ZERO).await.unwrap()
}

async fn exchange(asker: &mut Chamber, answerer: &mut Chamber) {
    let (a, b) = (asker.own(), answerer.own());
    let opening = asker.open(b).await.unwrap();
    let answer = answerer.feed(a, opening).await.unwrap().unwrap();
    let ending = asker.feed(b, answer).await.unwrap().unwrap();
    assert!(answerer.feed(a, ending).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn two_thousand_restarts_of_one_member_leave_one_state_of_it_everywhere() {
    let mut near = chamber(1, 1).await;
    let mut far = chamber(2, 1).await;
    for generation in 1..=2_000 {
        let mut restarter = chamber(3, generation).await;
        exchange(&mut restarter, &mut near).await;
        exchange(&mut near, &mut far).await;
        for observer in [&restarter, &near, &far] {
            assert!(observer.states().await.len() <= 3);
        }
        let now = version_of(record(3, generation, 0).life()).unwrap();
        for observer in [&near, &far] {
            let states = observer.states().await;
            let held: Vec<u64> =
                states.iter().filter(|(name, ..)| *name == restarter.own()).map(|(_, v, _)| *v).collect();
            assert_eq!(held, [now], "generation {generation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_of_a_restarted_member_counts_at_once() {
    let mut observer = chamber(1, 1).await;
    let mut heartbeats = Vec::new();
    for generation in 1..=3 {
        let mut restarter = chamber(2, generation).await;
        for _ in 0..generation {
            exchange(&mut restarter, &mut observer).await;
        }
        let states = observer.states().await;
        heartbeats
            .extend(states.iter().filter(|(name, ..)| *name == restarter.own()).map(|(.., heartbeat)| *heartbeat));
    }
    assert!(heartbeats.is_sorted_by(|a, b| a < b), "{heartbeats:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_chitchat_that_was_not_asked_for() {
    let mut asker = chamber(1, 1).await;
    let mut answerer = chamber(2, 1).await;
    exchange(&mut asker, &mut answerer).await;
    // Twenty rounds of its own, with somebody to talk to.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(asker.is_silent() && answerer.is_silent());
}

#[tokio::test(start_paused = true)]
async fn members_seen_only_once_a_minute_stay_in_the_digest_for_hours() {
    let mut asker = chamber(1, 1).await;
    let mut answerer = chamber(2, 1).await;
    for _ in 0..600 {
        exchange(&mut asker, &mut answerer).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(asker.states().await.len(), 2);
    assert_eq!(asker.live().await, 2);
}
