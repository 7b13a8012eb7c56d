#![expect(clippy::unwrap_used, reason = "tests")]

use mesh::llm::wire::{Message, ModelParams, Role};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tool(name: &str, description: &str, parameters: Value) -> ToolSpec {
    let Value::Object(parameters) = parameters else { panic!("an object") };
    ToolSpec::new(name, description, parameters)
}

fn text(name: &str) -> Value {
    json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] })
}

fn trip() -> Request {
    let flights = json!({
        "type": "object",
        "properties": {
            "origin": { "type": "string" }, "destination": { "type": "string" }, "date": { "type": "string" },
            "seats": { "type": "integer", "default": 1 },
        },
        "required": ["origin", "destination", "date"],
    });
    Request {
        messages: vec![
            Message::system(
                "You plan trips. Use flights, the weather and hotels.\nDates: June 1-5, 2026\nBudget: $2000",
            ),
            Message::user("Plan a trip to Kyoto, please."),
        ],
        tools: Some(vec![
            tool("flight_search", "Finds flights.", flights),
            tool("get_weather", "The forecast.", text("location")),
            tool("send_invoice", "Sends an invoice to a customer.", text("customer")),
        ]),
        ..Request::default()
    }
}

fn turn(request: &Request) -> Turn {
    Local::turn(request).unwrap()
}

#[test]
fn every_relevant_tool_is_called_once_with_what_was_said_and_then_it_answers() {
    let mut request = trip();
    let first = turn(&request);
    let calls: Vec<(&str, Value)> = first
        .calls
        .iter()
        .map(|call| (call.function.name.as_str(), serde_json::from_str(&call.function.arguments).unwrap()))
        .collect();
    let flight = json!({ "origin": "unspecified", "destination": "Kyoto", "date": "June 1-5, 2026" });
    assert_eq!(calls, [("flight_search", flight), ("get_weather", json!({ "location": "Kyoto" }))]);

    let results = [json!([{ "carrier": "MH", "price_usd": 842 }]).to_string(), "no forecast today".to_owned()];
    request.messages.push(Message { tool_calls: first.calls.clone(), ..Message::assistant("") });
    for (call, result) in first.calls.iter().zip(results) {
        request.messages.push(Message::tool(call.id.clone(), result));
    }
    let last = turn(&request);
    assert!(last.calls.is_empty());
    assert!(last.says.starts_with("[local demonstration model]"), "{}", last.says);
    assert!(
        last.says.contains("carrier MH, price usd 842") && last.says.contains("no forecast today"),
        "{}",
        last.says
    );
    assert_eq!(last.says, turn(&request).says);
}

#[test]
fn one_at_a_time_when_that_is_wanted_and_none_when_none_is() {
    let with = |params: Value| {
        let params: ModelParams = serde_json::from_value(params).unwrap();
        turn(&Request { model_params: Some(params), ..trip() }).calls.len()
    };
    assert_eq!(with(json!({ "parallel_tool_calls": false })), 1);
    assert_eq!(with(json!({ "parallel_tool_calls": true })), 2);
    assert_eq!(with(json!({ "tool_choice": "none" })), 0);
}

#[test]
fn numbers_without_names_are_taken_in_order() {
    let sum = json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "number" } },
        "required": ["a", "b"],
    });
    let request = Request {
        messages: vec![Message::user("What is 17 and 25.5?")],
        tools: Some(vec![tool("add", "Adds.", sum)]),
        ..Request::default()
    };
    assert_eq!(turn(&request).calls[0].function.arguments, r#"{"a":17,"b":25.5}"#);
}

#[test]
fn a_structured_answer_has_the_shape_that_is_asked_for() {
    let schema = json!({
        "type": "object",
        "properties": {
            "total_estimated": { "type": "integer" },
            "budget": { "type": "integer" },
            "tips": { "type": "array", "items": { "type": "string" } },
            "schedule": { "type": "array", "items": { "$ref": "#/$defs/Day" }, "minItems": 3 },
            "mood": { "enum": ["calm", "busy"] },
            "note": { "anyOf": [{ "type": "null" }, { "type": "string", "maxLength": 5 }] },
            "again": { "$ref": "#/$defs/Loop" },
        },
        "required": ["total_estimated", "tips"],
        "$defs": {
            "Day": { "type": "object", "properties": { "day": { "type": "integer" } }, "required": ["day"] },
            "Loop": { "type": "object", "properties": { "inner": { "$ref": "#/$defs/Loop" } } },
        },
    });
    let Value::Object(schema) = schema else { panic!("an object") };
    let params = ModelParams { output_schema: Some(schema), ..ModelParams::default() };
    let request = Request { model_params: Some(params), tools: None, ..trip() };
    let answer: Value = serde_json::from_str(&turn(&request).says).unwrap();
    assert_eq!((&answer["budget"], &answer["mood"]), (&json!(2000), &json!("calm")));
    assert_eq!(answer["schedule"], json!([{ "day": 1 }, { "day": 2 }, { "day": 3 }]));
    assert_eq!(answer["tips"].as_array().unwrap().len(), 2);
    assert!(answer["tips"][0].as_str().unwrap().contains("Kyoto"), "{answer}");
    assert_eq!(answer["note"].as_str().unwrap().len(), 5);
}

#[test]
fn it_stops_where_it_is_told_to() {
    let said = |params: Value| {
        let messages = vec![Message::user("Tell me END something")];
        let params: ModelParams = serde_json::from_value(params).unwrap();
        turn(&Request { messages, model_params: Some(params), ..Request::default() })
    };
    assert!(said(json!({ "stop": ["END"] })).says.ends_with("Tell me "));
    let short = said(json!({ "max_tokens": 3 }));
    assert_eq!((short.says.len(), short.stop_reason.as_deref()), (12, Some("length")));
}

#[test]
fn nobody_is_answered_who_says_nothing() {
    assert!(matches!(Local::turn(&Request::default()), Err(Failure::Rejected { .. })));
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[a-zé]{0,8}",
        Just("object".to_owned()),
        Just("array".to_owned()),
        Just("#/properties/a".to_owned()),
        Just("#".to_owned()),
    ];
    let key = prop_oneof![
        Just("type"),
        Just("properties"),
        Just("items"),
        Just("$ref"),
        Just("anyOf"),
        Just("allOf"),
        Just("enum"),
        Just("minItems"),
        Just("minLength"),
        Just("minimum"),
        Just("required"),
        Just("a"),
        Just("default"),
    ];
    let leaf = prop_oneof![word.prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_it_is_given_it_answers(schema in any_json(), result in any_json(), said in ".{0,80}") {
        let schema = schema.as_object().cloned().unwrap_or_default();
        let mut request = Request {
            messages: vec![Message::user(said), Message { role: Role::Tool, ..Message::user(result.to_string()) }],
            tools: Some(vec![ToolSpec::new("f", "", schema.clone())]),
            model_params: Some(ModelParams { output_schema: Some(schema), ..ModelParams::default() }),
            ..Request::default()
        };
        prop_assert_eq!(turn(&request).calls.len(), 1);
        request.tools = None;
        prop_assert!(serde_json::from_str::<Value>(&turn(&request).says).is_ok());
    }
}
