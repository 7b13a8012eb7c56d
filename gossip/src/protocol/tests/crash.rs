//! Crashes, slowness and their mistakes.

use std::time::Duration;

use super::bench::Bench;
use crate::effects::{Input, Notice, Standing};
use crate::timer::Timer;

fn dead_notices(bench: &Bench) -> usize {
    let is_death = |notice: &Notice| matches!(notice, Notice::Member { standing: Standing::Dead, .. });
    bench.notices.iter().flatten().filter(|(_, notice)| is_death(notice)).count()
}

#[test]
fn a_silent_member_is_dead_everywhere_within_the_detection_time() {
    let mut bench = Bench::joined(10);
    bench.silent.insert(4);
    let all_know =
        |bench: &Bench| (0..10).filter(|at| *at != 4).all(|at| bench.standing(at, 4) == Some(Standing::Dead));
    let took = bench.run_until(Duration::from_millis(2_500), all_know);
    println!("a crash is known to all after {took:?}");
    assert_eq!(dead_notices(&bench), 9);
}

#[test]
fn a_quiet_mesh_accuses_nobody() {
    let mut bench = Bench::joined(8);
    bench.run(Duration::from_secs(120));
    assert_eq!(dead_notices(&bench), 0);
}

#[test]
fn a_member_that_only_one_other_cannot_reach_stays_alive() {
    let mut bench = Bench::joined(8);
    bench.cut = Box::new(|from, to| (from, to) == (1, 2) || (from, to) == (2, 1));
    bench.run(Duration::from_secs(60));
    assert_eq!(dead_notices(&bench), 0);
}

#[test]
fn a_member_that_was_itself_away_blames_nobody_when_it_wakes() {
    let mut bench = Bench::joined(8);
    bench.silent.insert(3);
    bench.run(Duration::from_millis(700));
    bench.silent.remove(&3);
    bench.hand(3, Input::Timer(Timer::Probe));
    bench.run(Duration::from_secs(10));
    for at in 0..8 {
        assert_eq!(bench.live(at), 7);
    }
    let blamed = bench.notices[3].iter().any(|(_, n)| matches!(n, Notice::Member { standing: Standing::Dead, .. }));
    assert!(!blamed, "the sleeper accused somebody");
}

#[test]
fn halves_that_were_cut_apart_agree_soon_after_they_can_meet() {
    let mut bench = Bench::joined(12);
    bench.cut = Box::new(|from, to| (from < 6) != (to < 6));
    bench.run(Duration::from_secs(60));
    assert!((0..12).all(|at| bench.live(at) == 5));
    bench.cut = Box::new(|_, _| false);
    let took = bench.run_until(Duration::from_secs(3), |bench| {
        let digest = bench.members[0].digest();
        (0..12).all(|at| bench.live(at) == 11 && bench.members[at].digest() == digest)
    });
    println!("healed after {took:?}");
}

#[test]
fn a_goodbye_is_no_death() {
    let mut bench = Bench::joined(10);
    bench.hand(7, Input::Command(crate::effects::Command::Leave));
    let all_know =
        |bench: &Bench| (0..10).filter(|at| *at != 7).all(|at| bench.standing(at, 7) == Some(Standing::Left));
    bench.run_until(Duration::from_millis(200), all_know);
    bench.silent.insert(7);
    bench.run(Duration::from_secs(10));
    assert_eq!(dead_notices(&bench), 0);
}

#[test]
fn who_is_dead_to_one_member_only_learns_of_it_from_the_next_question() {
    let mut bench = Bench::joined(6);
    let lonely = bench.id(4);
    bench.with(2, |core, now, out| core.believe_dead(lonely, &mut crate::protocol::Turn { now, out }));
    let before = bench.members[4].alive().life();
    bench.run_until(Duration::from_secs(2), |bench| bench.standing(2, 4) == Some(Standing::Alive));
    assert!(bench.members[4].alive().life() > before, "it refutes, so that whoever agreed hears of it");
}

#[test]
fn a_goodbye_makes_nobody_doubt_itself() {
    let mut bench = Bench::joined(3);
    bench.hand(2, Input::Command(crate::effects::Command::Leave));
    bench.silent.insert(2);
    bench.run(Duration::from_secs(2));
    assert_eq!((bench.members[0].awareness(), bench.members[1].awareness()), (0, 0));
}

#[test]
fn patience_follows_how_long_answers_take_and_how_much_they_vary_but_no_single_loss() {
    let mut bench = Bench::joined(3);
    let timeout = bench.members[0].config().probe_timeout;
    let patience_after = |bench: &mut Bench, answers: &[u64]| {
        answers.iter().for_each(|millis| bench.members[0].answer_took(Duration::from_millis(*millis)));
        bench.members[0].patience(false)
    };
    assert_eq!(patience_after(&mut bench, &[5; 40]), timeout);
    assert_eq!(patience_after(&mut bench, &[105]), timeout, "one answer came to the second try");
    let slow = patience_after(&mut bench, &[300; 60]);
    assert!(slow >= Duration::from_millis(590) && slow <= Duration::from_millis(610), "{slow:?}");
    let now_and_then = patience_after(&mut bench, &[100, 500].repeat(30));
    assert!(now_and_then > Duration::from_millis(1_000), "{now_and_then:?}");
    assert_eq!(patience_after(&mut bench, &[5; 80]), timeout, "it is quiet again");
}
