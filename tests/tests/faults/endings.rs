//! Agents that are told to end, or say that they are not well.

use std::time::{Duration, Instant};

use mesh::args;
use mesh_tests::lab::eventually;
use nix::sys::signal::Signal;

use crate::scene::{Scene, ended};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_to_end_finishes_what_it_does_and_takes_nothing_new() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let url = scene.file(&victim).await.http_url.unwrap();
    let work = scene.dep::<u64>("work");
    let call = tokio::spawn(async move { work.call(args! { milliseconds: 1500 }).await });
    scene.until_diary("it works", |entry| entry.begun == 1).await;
    victim.signal(Signal::SIGTERM);
    scene.until_offered_by(0).await;
    let refused = scene.dep::<String>("echo").call(args! { text: "?" }).await.unwrap_err();
    assert!(refused.to_string().starts_with("dependency_unavailable"), "{refused}");
    assert!(!call.is_finished(), "it is out of resolution while it still works");
    let result = call.await.unwrap();
    assert!(matches!(result, Ok(1500)), "{result:?}, {}", victim.log());
    let (status, log) = ended(victim, Signal::SIGCONT).await;
    assert!(status.success(), "{log}");
    let left = || async {
        let view = scene.consumer.node().gossip().view();
        Some(()).filter(|()| view.live().count() == 1)
    };
    eventually("it has said goodbye", left).await;
    assert_eq!(scene.consumer.node().gossip().metrics().await.unwrap().counts.deaths, 0, "it left, and did not die");
    assert!(reqwest::get(format!("{url}/livez")).await.is_err());
    assert_eq!(scene.lab.nodes().len(), 1, "its run-time file is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_to_end_goes_within_its_bound_whatever_its_tools_do() {
    let scene = Scene::new().await;
    let victim = scene.lab.start(scene.command().env("MESH_DRAIN_TIMEOUT", "2"));
    scene.until_offered_by(1).await;
    let hang = scene.dep::<String>("hang");
    let call = tokio::spawn(async move { hang.call(()).await });
    scene.until_diary("it hangs", |entry| entry.begun == 1).await;
    let told = Instant::now();
    let (status, log) = ended(victim, Signal::SIGTERM).await;
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert!(status.success() && log.contains("calls were cut short"), "{log}");
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_twice_to_end_goes_at_once() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let hang = scene.dep::<String>("hang");
    let call = tokio::spawn(async move { hang.call(()).await });
    scene.until_diary("it hangs", |entry| entry.begun == 1).await;
    victim.signal(Signal::SIGTERM);
    scene.until_offered_by(0).await;
    let told = Instant::now();
    let (status, log) = ended(victim, Signal::SIGTERM).await;
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    assert!(status.success() && log.contains("told again"), "{log}");
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_health_check_takes_the_offers_out_of_resolution_within_a_second_and_back_again() {
    let scene = Scene::alone().await;
    let ill = scene.lab.home().join("ill");
    let _victim = scene.lab.start(scene.command().env("VICTIM_ILL", &ill));
    scene.until_offered_by(1).await;
    let echo = scene.dep::<String>("echo");
    let mut views = scene.consumer.node().gossip().watch();
    let mut took: [Vec<Duration>; 2] = Default::default();
    for is_ill in [true, false, true, false, true, false] {
        if is_ill {
            std::fs::write(&ill, "").unwrap();
        } else {
            std::fs::remove_file(&ill).unwrap();
        }
        let changed = Instant::now();
        while echo.provider().is_some() == is_ill {
            let next = tokio::time::timeout(Duration::from_secs(10), views.changed()).await;
            next.expect("its health is told").unwrap();
        }
        took[usize::from(is_ill)].push(changed.elapsed());
        assert_eq!(echo.call(args! { text: "?" }).await.is_err(), is_ill);
    }
    // What else the machine does may delay some.
    let within_a_second = |took: &Vec<Duration>| took.iter().any(|took| *took < Duration::from_secs(1));
    assert!(took.iter().all(within_a_second), "{took:?}");
}
