//! The worlds in which the baselines run, small.

use std::time::Duration;

use mesh_simulations::baseline::chitchat::{ChitchatHost, Tokio};
use mesh_simulations::baseline::foca::FocaHost;
use mesh_simulations::host::{Host, Knows, Wish};
use mesh_simulations::ledger::{Fact, Ledger};
use mesh_simulations::network::{Network, Weather};
use mesh_simulations::stream::StreamCosts;
use mesh_simulations::world::{Rules, World};

const SIZE: u32 = 20;

/// Everybody starts, one record changes, one host crashes: how long each took to be known, and all bytes sent.
fn history<H: Host<Command = Wish>>(seed: u64, mut host: impl FnMut(u32) -> H) -> (Duration, Duration, u64) {
    let rules = Rules { seal_bytes: 0, streams: StreamCosts::default() };
    let mut world = World::new(seed, Network::new(seed, Weather::default()), rules, Ledger::new());
    for index in 0..SIZE {
        world.watch.started(world.now(), index, 0);
    }
    for index in 0..SIZE {
        world.add(host(index));
    }
    world.run_for(Duration::from_secs(30));
    assert!(world.watch.agreed_since().is_some(), "seed {seed}: {} pairs are wrong", world.watch.wrong());

    let record = Fact::Record { member: 3, key: 1, version: 7 };
    let news = world.watch.expect(world.now(), &[record], 0..SIZE);
    world.command(3, Wish::Set { key: 1, version: 7, bytes: 200 });
    world.run_for(Duration::from_secs(20));

    world.crash(5);
    world.watch.stopped(world.now(), 5);
    let observers = (0..SIZE).filter(|index| *index != 5);
    let crash = world.watch.expect(world.now(), &[Fact::Gone { member: 5 }], observers);
    world.run_for(Duration::from_secs(60));

    let took = |event| world.watch.spread(event).to_all().expect("everybody learns of it");
    (took(news), took(crash), world.traffic_of_all().bytes())
}

#[test]
fn foca_spreads_news_in_a_second_and_finds_a_crash_in_ten_and_replays() {
    let run = || history(1, |index| FocaHost::new(1, index, 0, SIZE, Knows::Everybody(SIZE)));
    let (news, crash, bytes) = run();
    assert!(news < Duration::from_secs(2), "{news:?}");
    assert!(crash > Duration::from_secs(3) && crash < Duration::from_secs(15), "{crash:?}");
    assert_eq!((news, crash, bytes), run());
}

#[test]
fn chitchat_spreads_news_in_seconds_and_finds_a_crash_in_twenty() {
    let tokio = Tokio::new().expect("a runtime");
    let records = || (0..10).map(|key| ChitchatHost::record(key, 1, 100)).collect();
    let host = |index| ChitchatHost::new(index, 0, tokio.clone(), Knows::Seeds(vec![0]), records());
    let (news, crash, _) = history(1, host);
    assert!(news < Duration::from_secs(10), "{news:?}");
    assert!(crash > Duration::from_secs(3) && crash < Duration::from_secs(40), "{crash:?}");
}
