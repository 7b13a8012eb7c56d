//! Sessions stay where they are.

use std::collections::BTreeMap;

use super::bench::{Plan, TestNode, ask, idempotent};
use crate::context::SessionKey;

async fn homes(asker: &TestNode) -> BTreeMap<String, String> {
    let mut homes = BTreeMap::new();
    for session in 0..12 {
        let mut request = ask("who");
        request.session = Some(SessionKey::try_from(format!("session-{session}").as_str()).unwrap());
        homes.insert(format!("session-{session}"), asker.asks(request).await);
    }
    homes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_stays_with_its_replica_and_moves_once_when_that_is_gone() {
    let asker = Plan::default().start(&[]).await;
    let one = Plan::with([idempotent("who")]).start(&[&asker]).await;
    let two = Plan::with([idempotent("who")]).start(&[&asker]).await;
    asker.sees("who", 2).await;
    two.sees("who", 2).await;
    let before = homes(&asker).await;
    assert_eq!(homes(&asker).await, before);
    assert_eq!(homes(&two).await, before, "another consumer agrees");
    let three = Plan::with([idempotent("who")]).start(&[&asker]).await;
    asker.sees("who", 3).await;
    assert_eq!(homes(&asker).await, before, "a newcomer takes no session away");

    let gone = one.agent.as_str().to_owned();
    drop(one);
    let after = homes(&asker).await;
    let moved = |session: &String| before[session] != after[session];
    assert!(after.keys().all(|session| moved(session) == (before[session] == gone)), "{before:?} {after:?}");
    assert_eq!(homes(&asker).await, after);
    drop(three);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_the_request_counts_then_the_argument_then_what_is_inherited() {
    let asker = Plan::with([idempotent("who")]).start(&[]).await;
    asker.sees("who", 1).await;
    let key = |text: &str| Some(SessionKey::try_from(text).unwrap());
    let mut request = ask("who");
    request.scope.session = key("inherited");
    let seen = async |request| {
        asker.asks(request).await;
        asker.host.last.lock().unwrap().0.session.clone()
    };
    assert_eq!(seen(request.clone()).await, key("inherited"));
    request.arguments = r#"{"session_id":"argument"}"#.into();
    assert_eq!(seen(request.clone()).await, key("argument"));
    request.session = key("explicit");
    assert_eq!(seen(request).await, key("explicit"));
}
