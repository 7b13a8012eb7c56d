#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn usage(model: &str, tokens: u64) -> Usage {
    Usage {
        prompt_tokens: tokens,
        completion_tokens: 1,
        model: model.into(),
        cost_usd: (model != "vllm/x").then_some(0.5),
        ..Usage::default()
    }
}

#[test]
fn figures_survive_a_restart_and_a_line_that_was_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(home.path(), "claude").unwrap();
    ledger.add(Some("planner"), &usage("local/a", 10));
    ledger.add(Some("planner"), &usage("local/a", 20));
    ledger.add(None, &usage("vllm/x", 5));
    let before = ledger.lines(SystemTime::UNIX_EPOCH);
    assert_eq!((before.len(), before[1].sum.calls, before[1].sum.prompt_tokens), (2, 2, 30));
    assert_eq!((before[0].agent.as_str(), before[0].sum.unpriced, before[0].sum.cost_usd), ("-", 1, 0.0));
    drop(ledger);

    let path = home.path().join("providers/claude/usage-1.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"m\":1,\"agent\":\"cut");
    std::fs::write(&path, text).unwrap();
    let again = Ledger::open(home.path(), "claude").unwrap();
    assert_eq!(again.lines(SystemTime::UNIX_EPOCH), before);
    again.add(None, &usage("vllm/x", 5));
    drop(again);
    let third = Ledger::open(home.path(), "claude").unwrap();
    assert_eq!(third.lines(SystemTime::UNIX_EPOCH)[0].sum.calls, 2);
}

#[test]
fn replicas_keep_a_file_each() {
    let home = tempfile::tempdir().unwrap();
    let first = Ledger::open(home.path(), "claude").unwrap();
    let second = Ledger::open(home.path(), "claude").unwrap();
    first.add(None, &usage("local/a", 1));
    assert_eq!(second.lines(SystemTime::UNIX_EPOCH), []);
    drop((first, second));
    assert!(home.path().join("providers/claude/usage-2.jsonl").exists());
}

#[test]
fn what_a_replica_that_is_gone_has_left_behind_is_counted_once() {
    let home = tempfile::tempdir().unwrap();
    let calls = |ledger: &Ledger| ledger.lines(SystemTime::UNIX_EPOCH).iter().map(|line| line.sum.calls).sum::<u64>();
    let first = Ledger::open(home.path(), "claude").unwrap();
    let second = Ledger::open(home.path(), "claude").unwrap();
    first.add(None, &usage("local/a", 1));
    second.add(None, &usage("local/a", 1));
    assert_eq!((calls(&first), calls(&second)), (1, 1));
    drop(second);
    assert_eq!((calls(&first), calls(&first)), (2, 2));
    let third = Ledger::open(home.path(), "claude").unwrap();
    assert_eq!((calls(&first), calls(&third)), (2, 0));
    drop((first, third));
    assert_eq!(calls(&Ledger::open(home.path(), "claude").unwrap()), 2);
}

#[test]
fn only_what_is_asked_for_is_summed_and_old_minutes_become_hours() {
    let mut book = Book::default();
    let line = |agent: &str| Line { agent: agent.into(), model: "m".into(), sum: Sum { calls: 1, ..Sum::default() } };
    let now = 1_000_000;
    for age in [0, 1, 90, 10_001, 10_002, 600_000] {
        book.add(now - age, &line("a"));
    }
    let calls = |book: &Book, since| book.lines(since).first().map_or(0, |line| line.sum.calls);
    assert_eq!(calls(&book, now - 60), 2);
    assert_eq!(calls(&book, 0), 6);
    let folded = book.folded(now);
    assert_eq!((calls(&folded, 0), folded.entries().count()), (5, 4));
}

#[test]
fn a_name_of_any_length_is_kept_short() {
    let ledger = Ledger::in_memory();
    ledger.add(Some(&"x\n".repeat(1000)), &usage("local/a", 1));
    assert_eq!(ledger.lines(SystemTime::UNIX_EPOCH)[0].agent, "x".repeat(MAX_NAME));
}

#[test]
fn a_call_is_in_the_file_before_its_answer_leaves() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(home.path(), "claude").unwrap();
    for calls in 1..=3 {
        ledger.add(Some("planner"), &usage("local/a", 10));
        let text = std::fs::read_to_string(home.path().join("providers/claude/usage-1.jsonl")).unwrap();
        assert_eq!(text.lines().count(), calls, "{text}");
    }
}

#[test]
fn what_a_provider_that_is_gone_has_left_behind_is_told_by_others_of_its_home() {
    let home = tempfile::tempdir().unwrap();
    let calls = |ledger: &Ledger| ledger.lines(SystemTime::UNIX_EPOCH).iter().map(|line| line.sum.calls).sum::<u64>();
    let (claude, other) = (Ledger::open(home.path(), "claude").unwrap(), Ledger::open(home.path(), "other").unwrap());
    claude.add(None, &usage("local/a", 1));
    assert_eq!((calls(&claude), calls(&other)), (1, 0));
    drop(claude);
    assert_eq!(calls(&other), 1);
    let claude = Ledger::open(home.path(), "claude").unwrap();
    assert_eq!((calls(&claude), calls(&other)), (0, 1));
}

#[test]
fn a_file_that_has_grown_is_written_anew_while_its_provider_runs() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("providers/claude/usage-1.jsonl");
    let ledger = Ledger::open(home.path(), "claude").unwrap();
    let length = || std::fs::metadata(&path).unwrap().len();
    let mut calls = 0;
    while length() <= 1 << 20 {
        ledger.add(Some(&"x".repeat(MAX_NAME)), &usage("local/a", 1));
        calls += 1;
    }
    ledger.add(None, &usage("local/a", 1));
    ledger.settle();
    assert!(length() < 4096, "{}", length());
    ledger.add(None, &usage("local/a", 1));
    drop(ledger);
    let again = Ledger::open(home.path(), "claude").unwrap().lines(SystemTime::UNIX_EPOCH);
    assert_eq!(again.iter().map(|line| line.sum.calls).sum::<u64>(), calls + 2);
}

#[test]
fn what_the_disk_refuses_is_written_later() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(home.path(), "claude").unwrap();
    let path = home.path().join("providers/claude/usage-1.jsonl");
    let whole = {
        let mut state = ledger.state();
        let refusing = state.file.as_mut().unwrap();
        std::mem::replace(&mut refusing.file, std::fs::File::open(&path).unwrap())
    };
    ledger.add(None, &usage("local/a", 1));
    ledger.add(None, &usage("local/a", 1));
    ledger.state().file.as_mut().unwrap().file = whole;
    ledger.settle();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().count() == 1 && text.contains("\"calls\":2"), "{text}");
}
