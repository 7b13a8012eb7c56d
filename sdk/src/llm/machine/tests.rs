#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use schemars::JsonSchema;
use serde_json::json;

use super::super::wire::{Called, FunctionKind, Usage};
use super::*;

#[derive(serde::Deserialize, JsonSchema)]
#[expect(dead_code, reason = "its schema is what counts")]
struct Verdict {
    good: bool,
}

fn tools(names: &[&str]) -> Arc<[ToolSpec]> {
    names.iter().map(|name| ToolSpec::new(*name, "", serde_json::Map::new())).collect()
}

fn machine_of<T: JsonSchema>(limits: Limits) -> Machine {
    Machine::new(Beginning {
        limits,
        expected: Arc::new(Expected::of::<T>().unwrap()),
        tools: tools(&["weather", "hotels"]),
        params: Arc::default(),
        asker: None,
        messages: vec![Message::system("Be brief."), Message::user("Is it good?")],
    })
}

fn limited(iterations: u32) -> Limits {
    Limits { iterations, ..Limits::default() }
}

fn call(id: &str, tool: &str, arguments: &str) -> ToolCall {
    let function = Called { name: tool.into(), arguments: arguments.into() };
    ToolCall { id: id.into(), kind: FunctionKind::Function, function, extra: serde_json::Map::new() }
}

fn says(content: &str) -> Reply {
    Reply { role: Role::Assistant, content: content.into(), ..Reply::default() }
}

fn wants(calls: &[ToolCall]) -> Reply {
    Reply { tool_calls: calls.to_vec(), ..says("") }
}

fn ask(machine: &mut Machine) -> Asking {
    match machine.step() {
        Step::Ask(asking) => asking,
        other => panic!("not a question but {other:?}"),
    }
}

fn gives_up(machine: &mut Machine) -> Why {
    match machine.step() {
        Step::GiveUp(why) => why,
        other => panic!("not the end but {other:?}"),
    }
}

fn reply(machine: &mut Machine, reply: Reply) {
    ask(machine);
    machine.replied(reply, Some("anthropic"));
}

#[test]
fn tools_are_called_all_at_once_and_their_results_shown_before_the_answer() {
    let mut machine = machine_of::<String>(limited(5));
    reply(&mut machine, wants(&[call("a", "weather", r#"{"city":"Rome"}"#), call("b", "hotels", "")]));
    let Step::Call(wanted) = machine.step() else { panic!("no calls") };
    let names: Vec<_> = wanted.iter().map(|it| (it.id.as_str(), it.tool.as_str(), it.arguments.as_str())).collect();
    assert_eq!(names, [("a", "weather", r#"{"city":"Rome"}"#), ("b", "hotels", "{}")]);
    machine.called(vec![("b".into(), "full".into()), ("a".into(), "sunny".into())]);
    let asked: Value = serde_json::from_slice(&ask(&mut machine).written(None)).unwrap();
    let shown: Vec<_> = asked["request"]["messages"].as_array().unwrap().iter().map(|it| &it["content"]).collect();
    assert_eq!(shown, ["Be brief.", "Is it good?", "", "sunny", "full"]);
    machine.replied(says("Yes."), None);
    assert!(matches!(machine.step(), Step::Done(answer) if answer == json!("Yes.")));
    assert_eq!((machine.spent().turns, machine.spent().tool_calls), (2, 2));
}

#[test]
fn a_wrong_call_is_told_to_the_model_and_the_others_are_made() {
    let mut machine = machine_of::<String>(limited(5));
    reply(&mut machine, wants(&[call("a", "wether", "{}"), call("b", "weather", "{\"ci"), call("c", "weather", "{}")]));
    let Step::Call(wanted) = machine.step() else { panic!("no calls") };
    assert_eq!(wanted.len(), 1);
    machine.called(vec![("c".into(), "sunny".into())]);
    let said: Vec<String> = machine.transcript().iter().skip(3).map(Message::text).collect();
    assert_eq!(said[0], r#"{"error":"there is no tool `wether`; there are weather, hotels"}"#);
    assert!(said[1].starts_with(r#"{"error":"the arguments of `weather` are no JSON: EOF"#), "{}", said[1]);
    assert_eq!(said[2], "sunny");
}

#[test]
fn a_model_that_calls_for_ever_is_stopped_with_everything_that_was_said() {
    let mut machine = machine_of::<String>(limited(3));
    for _ in 0..3 {
        reply(&mut machine, wants(&[call("same", "weather", "{}")]));
        let Step::Call(wanted) = machine.step() else { panic!("no calls") };
        machine.called(wanted.into_iter().map(|it| (it.id, "rain".into())).collect());
    }
    assert!(matches!(gives_up(&mut machine), Why::Iterations { limit: 3 }));
    assert_eq!(machine.transcript().len(), 2 + 3 * 2);
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_again_twice_and_counts_as_no_iteration() {
    let mut machine = machine_of::<Verdict>(limited(1));
    reply(&mut machine, says("It is fine."));
    reply(&mut machine, says(r#"{"good":"yes"}"#));
    let told = machine.transcript().last().unwrap().text();
    assert!(told.starts_with("Your answer does not fit: at `/good`: \"yes\" is not of type \"boolean\""), "{told}");
    reply(&mut machine, says(r#"{"good":true}"#));
    assert!(matches!(machine.step(), Step::Done(answer) if answer == json!({ "good": true })));

    let mut machine = machine_of::<Verdict>(limited(9));
    (0..3).for_each(|_| reply(&mut machine, says("no")));
    assert!(matches!(gives_up(&mut machine), Why::Unfit { said, .. } if said == "no"));
}

#[test]
fn a_model_that_says_nothing_is_asked_again_and_given_up() {
    let mut machine = machine_of::<String>(limited(1));
    (0..3).for_each(|_| reply(&mut machine, says(" \n")));
    assert!(matches!(gives_up(&mut machine), Why::Silent));
}

#[test]
fn a_refusal_is_not_asked_again() {
    let mut machine = machine_of::<Verdict>(limited(5));
    reply(&mut machine, Reply { stop_reason: Some("refusal".into()), ..says("I will not.") });
    assert!(matches!(gives_up(&mut machine), Why::Refused { said } if said == "I will not."));
}

#[test]
fn budgets_end_a_loop_before_the_next_question_and_never_after_an_answer() {
    let usage = |cost_usd| Some(Usage { prompt_tokens: 90, completion_tokens: 10, cost_usd, ..Usage::default() });
    let first = |limits| {
        let mut machine = machine_of::<String>(limits);
        reply(&mut machine, Reply { usage: usage(Some(0.5)), ..wants(&[call("a", "nope", "{}")]) });
        machine
    };
    let mut machine = first(Limits { tokens: Some(100), ..limited(5) });
    assert!(matches!(gives_up(&mut machine), Why::Tokens { spent: 100, limit: 100 }));
    let mut machine = first(Limits { cost_usd: Some(0.5), ..limited(5) });
    assert!(matches!(gives_up(&mut machine), Why::Cost { .. }));
    let mut machine = first(Limits { cost_usd: Some(0.9), tokens: Some(150), ..limited(5) });
    reply(&mut machine, Reply { usage: usage(Some(9.0)), ..says("Done.") });
    assert!(matches!(machine.step(), Step::Done(_)));
    assert_eq!(machine.spent().cost_usd, 9.5);

    let mut machine = machine_of::<String>(Limits { cost_usd: Some(1.0), ..limited(5) });
    reply(&mut machine, Reply { usage: usage(None), ..wants(&[call("a", "nope", "{}")]) });
    assert!(matches!(gives_up(&mut machine), Why::Unpriced { .. }));
}

#[test]
fn a_provider_that_ran_the_loop_itself_and_gave_up_is_believed() {
    let mut machine = machine_of::<String>(limited(5));
    reply(&mut machine, Reply { stop_reason: Some(MAX_ITERATIONS.into()), ..says("half") });
    assert!(matches!(gives_up(&mut machine), Why::Iterations { .. }));
}

#[test]
fn another_vendor_is_shown_a_neutral_transcript_and_no_foreign_model() {
    let mut machine = machine_of::<String>(limited(5));
    machine.params = Arc::new(ModelParams {
        model: Some("anthropic/claude-opus".into()),
        top_p: Some(0.5),
        ..ModelParams::default()
    });
    let signed = |mut reply: Reply| {
        reply.extra.insert("_thinking".into(), json!([{ "signature": "s" }]));
        reply.tool_calls.iter_mut().for_each(|call| drop(call.extra.insert("signature".into(), json!("s"))));
        reply
    };
    reply(&mut machine, signed(wants(&[call("a", "weather", "{}")])));
    machine.called(vec![("a".into(), "sunny".into())]);
    let asking = ask(&mut machine);
    let written = |vendor| String::from_utf8(asking.written(vendor).to_vec()).unwrap();
    assert!(written(Some("anthropic")).contains("_thinking") && written(Some("anthropic")).contains("claude-opus"));
    for other in [Some("openai"), None] {
        assert!(!written(other).contains("signature"), "{}", written(other));
    }
    assert!(!written(Some("openai")).contains("claude") && written(Some("openai")).contains("top_p"));
}

#[test]
fn every_call_has_an_id_of_its_own_that_every_vendor_takes() {
    let mut machine = machine_of::<String>(limited(5));
    let long = "x".repeat(65);
    reply(&mut machine, wants(&[call("", "weather", ""), call("a b", "weather", ""), call(&long, "weather", "")]));
    let Step::Call(wanted) = machine.step() else { panic!("no calls") };
    let ids: BTreeSet<&str> = wanted.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.len() <= MAX_ID && !id.contains(' ')), "{ids:?}");
}

#[test]
fn results_are_cut_to_their_bound() {
    let mut machine = machine_of::<String>(Limits { result_bytes: 10, ..limited(5) });
    reply(&mut machine, wants(&[call("a", "weather", "")]));
    machine.called(vec![("a".into(), "x".repeat(1000).into())]);
    let shown = machine.transcript().last().unwrap().text();
    assert!(shown.starts_with("xxxxxxxxxx\n[cut"), "{shown}");
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let arguments = prop_oneof![Just("{}".to_owned()), "[\\[{\"a:1}\\]]{0,8}", "\\PC{0,8}"];
    let call = ("[ab]{0,2}|\\PC{0,3}", "weather|hotels|nope|", arguments)
        .prop_map(|(id, tool, arguments)| call(&id, &tool, &arguments));
    let content = prop_oneof![Just(String::new()), Just(r#"{"good":true}"#.to_owned()), "\\PC{0,20}"];
    let stop =
        prop_oneof![9 => Just(None), 1 => Just(Some("length".to_owned())), 1 => Just(Some("refusal".to_owned()))];
    (content, prop::collection::vec(call, 0..3), stop).prop_map(|(content, tool_calls, stop_reason)| Reply {
        role: Role::Assistant,
        content,
        tool_calls,
        stop_reason,
        ..Reply::default()
    })
}

proptest! {
    #[test]
    fn whatever_a_model_answers_the_loop_ends_and_every_call_has_one_result(
        replies in prop::collection::vec(any_reply(), 1..12), iterations in 0_u32..6, results in any::<bool>(),
    ) {
        let mut machine = machine_of::<Verdict>(limited(iterations));
        let (mut asked, mut ended) = (0, false);
        let mut replies = replies.into_iter().cycle();
        for _ in 0..40 {
            match machine.step() {
                Step::Ask(_) => {
                    asked += 1;
                    machine.replied(replies.next().unwrap(), None);
                }
                Step::Call(wanted) => {
                    prop_assert!(!wanted.is_empty());
                    let some = wanted.into_iter().filter(|_| results);
                    machine.called(some.map(|it| (it.id, "fine".into())).collect());
                }
                Step::Done(answer) => {
                    prop_assert_eq!(answer, json!({ "good": true }));
                    ended = true;
                    break;
                }
                Step::GiveUp(_) => {
                    ended = true;
                    break;
                }
            }
        }
        prop_assert!(ended && asked <= iterations + MAX_REPAIRS);
        let mut open: Vec<String> = Vec::new();
        for message in machine.transcript() {
            if message.role == Role::Tool {
                let id = message.tool_call_id.unwrap();
                let at = open.iter().position(|open| *open == id);
                prop_assert!(at.is_some(), "a result without its call");
                open.remove(at.unwrap());
            } else {
                prop_assert!(open.is_empty(), "a call without a result");
                open = message.tool_calls.into_iter().map(|call| call.id).collect();
            }
        }
        prop_assert!(open.is_empty());
    }
}
