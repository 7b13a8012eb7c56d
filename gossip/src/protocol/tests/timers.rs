//! Timers neither pile up nor get lost.

use std::time::Duration;

use super::bench::{Bench, address, start};
use crate::config::Config;
use crate::effects::{Effects, Input, Standing};
use crate::packet::{Accusation, Message, Rumour, Writer};
use crate::protocol::Protocol;
use crate::timer::Timer;

/// The due timers of one lonely core, fired in order until `until`; how often `kind` was among them.
fn fired(core: &mut Protocol, mut out: Effects, kind: Timer, until: Duration) -> usize {
    let mut agenda: Vec<_> = std::mem::take(&mut out.timers);
    let mut count = 0;
    loop {
        agenda.sort();
        if agenda.first().is_none_or(|(at, _)| at.as_micros() > u64::try_from(until.as_micros()).unwrap()) {
            return count;
        }
        let (at, timer) = agenda.remove(0);
        count += usize::from(timer == kind);
        core.handle(at, Input::Timer(timer), &mut out);
        agenda.append(&mut out.timers);
    }
}

#[test]
fn however_often_one_is_told_to_look_for_seeds_there_is_one_timer_for_it() {
    let mut core = Protocol::new(start(0, &Config::lan(), 1)).unwrap();
    let mut out = Effects::default();
    core.begin(crate::moment::Moment::ZERO, &mut out);
    for i in 1..50 {
        core.handle(crate::moment::Moment::ZERO, Input::Seeds(&[address(i).gossip()]), &mut out);
        core.handle(crate::moment::Moment::ZERO, Input::Rejoin, &mut out);
    }
    let often = fired(&mut core, out, Timer::Seeds, Duration::from_secs(60));
    assert!(often < 200, "{often} timers in a minute");
}

#[test]
fn a_suspicion_that_began_in_a_small_mesh_ends_in_a_large_one() {
    let mut bench = Bench::joined(4);
    bench.silent.insert(3);
    let accusation = Accusation { member: bench.id(3), life: bench.members[3].alive().life(), accuser: bench.id(2) };
    let mut packet = Writer::new(&Message::Gossip);
    assert!(packet.push(&Rumour::Suspect(accusation).encode()));
    let (sender, body) = (bench.id(2), packet.finish());
    bench.cut = Box::new(|_, _| true);
    let probes = |bench: &mut Bench| bench.run(Duration::from_millis(50));
    bench.hand(0, Input::Datagram { from: address(2).gossip(), sender, body: &body });
    for i in 10..60 {
        let alive = Protocol::new(start(i, &Config::lan(), 1)).unwrap().alive().clone();
        bench.with(0, |core, now, out| core.acquaint(now, &alive, &[], out));
    }
    for _ in 0..400 {
        probes(&mut bench);
    }
    assert_eq!(bench.standing(0, 3), Some(Standing::Dead));
}
