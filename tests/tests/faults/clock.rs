//! Clocks that are wrong. libfaketime, from the packages of Debian, moves those of single processes while they run.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_gossip::id::Generation;
use mesh_tests::lab::eventually;
use mesh_tests::others::install;
use nix::sys::signal::Signal;

use crate::scene::{Scene, ended};

const HOUR: i64 = 3_600;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

/// Where the library is, installed when it is missing.
fn libfaketime() -> String {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|of| format!("/usr/lib/{of}/faketime/libfaketime.so.1"));
    let found = || places.iter().find(|place| Path::new(place).exists()).cloned();
    found().unwrap_or_else(|| {
        install("libfaketime");
        found().expect("the package libfaketime has the library")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_moved_by_an_hour_forth_and_back_disturbs_nobody() {
    let scene = Scene::new().await;
    let dial = scene.lab.home().join("dial");
    let turn = |offset: &str| {
        let next = scene.lab.home().join("next");
        std::fs::write(&next, format!("{offset}\n")).unwrap();
        // It is read all the time.
        std::fs::rename(next, &dial).unwrap();
    };
    turn("+0");
    let start = || {
        let mut victim = scene.command();
        victim.env("LD_PRELOAD", libfaketime()).env("FAKETIME_TIMESTAMP_FILE", &dial).env("FAKETIME_NO_CACHE", "1");
        // Only the time of day: the other clock is what no administrator and no time server can move.
        scene.lab.start(victim.env("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
    };
    let victim = start();
    let same = scene.until_offered_by(1).await;
    let clock = scene.dep::<i64>("clock");
    for (offset, seconds) in [("+3600", HOUR), ("-3600", -HOUR)] {
        turn(offset);
        eventually("the clock is moved", || says(&clock, seconds)).await;
        scene.keep_calling(Duration::from_millis(1_500)).await;
    }
    let counts = scene.consumer.node().gossip().metrics().await.unwrap().counts;
    assert_eq!((counts.suspicions, counts.deaths), (0, 0), "{counts:?}");

    let before = generation(&scene);
    // Killed at a time of day long past, then come back even earlier, it is still the newer one.
    ended(victim, Signal::SIGKILL).await;
    turn("-7200");
    let _victim = start();
    let back = || async { Some(()).filter(|()| scene.offering() == same && generation(&scene) > before) };
    eventually("the same one is back, as the newer one", back).await;
    eventually("its clock is even earlier", || says(&clock, -2 * HOUR)).await;
    scene.keep_calling(Duration::from_millis(300)).await;
}

/// Which start of its key the victim is, as far as is known.
fn generation(scene: &Scene) -> Generation {
    let view = scene.consumer.node().gossip().view();
    let mut others = view.live().filter(|member| member.id() != view.me());
    others.next().map_or(Generation(0), |member| member.alive().life().generation)
}

/// Whether the victim's clock is that far from ours.
async fn says(clock: &mesh::Dep<i64>, offset: i64) -> Option<()> {
    let time = clock.call(()).await.ok()?;
    Some(()).filter(|()| (time - now() - offset).abs() < HOUR / 2)
}
