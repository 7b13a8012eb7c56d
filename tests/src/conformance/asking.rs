//! Tools that ask their client something, tell it something, or need it to be able to do something.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, ElicitResult,
    InputRequest, InputRequests, InputRequiredResult, InputResponses, JsonObject, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam, RequestStateCodec,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Answer, Asked, invalid, typed};

/// Between the things a tool says: the suite wants to see that they come one by one.
const PAUSE: Duration = Duration::from_millis(50);

static STATES: LazyLock<RequestStateCodec> =
    LazyLock::new(|| RequestStateCodec::try_new(*b"a key for the fixture of a test.").expect("32 bytes are enough"));

/// A question to the user that is answered by one field of `kind`.
pub(super) fn elicitation(message: &str, field: &str, kind: &str) -> InputRequest {
    let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    typed(json!({"method": "elicitation/create", "params": params}))
}

fn sampling(text: &str, tokens: u32) -> InputRequest {
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    typed(json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}))
}

fn roots() -> InputRequest {
    typed(json!({"method": "roots/list", "params": {}}))
}

/// The field of what the user answered to the question `key`.
pub(super) fn answered(answers: Option<&InputResponses>, key: &str, field: &str) -> Option<Value> {
    let answer = answers?.get(key)?;
    (answer.get("action")? == "accept").then(|| answer.get("content")?.get(field).cloned()).flatten()
}

fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn state(round: u32) -> Option<String> {
    STATES.seal_json(&round).ok()
}

/// The round that a state is of.
fn round(state: Option<&String>) -> Answer<u32> {
    let state = state.ok_or_else(|| invalid("the request state is missing"))?;
    STATES.open_json(state).map_err(|_| invalid("the request state has been tampered with"))
}

/// The answer of a tool that asks by answering that it needs input first; nothing if it is none of those.
pub(super) fn in_rounds(request: &CallToolRequestParams, context: &Asked) -> Answer<Option<CallToolResponse>> {
    let answers = request.input_responses.as_ref();
    let has = |key: &str| answers.is_some_and(|answers| answers.contains_key(key));
    let name = || elicitation("What is your name?", "name", "string");
    let (key, question) = match &*request.name {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            if let Some(name) = answered(answers, "user_name", "name") {
                return Ok(Some(text(format!("Hello, {}!", name.as_str().unwrap_or("you"))).into()));
            }
            ("user_name", name())
        }
        "test_input_required_result_sampling" => ("capital_question", sampling("What is the capital of France?", 100)),
        "test_input_required_result_list_roots" => ("client_roots", roots()),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            if answers.is_some() {
                round(request.request_state.as_ref())?;
                return Ok(Some(text("state-ok").into()));
            }
            return Ok(Some(ask([("confirm", elicitation("Please confirm", "ok", "boolean"))], state(1))));
        }
        "test_input_required_result_multiple_inputs" => {
            if ["user_name", "greeting", "client_roots"].iter().all(|key| has(key)) {
                round(request.request_state.as_ref())?;
                return Ok(Some(text("all answered").into()));
            }
            let greeting = sampling("Generate a greeting", 50);
            let all = [("user_name", name()), ("greeting", greeting), ("client_roots", roots())];
            return Ok(Some(ask(all, state(1))));
        }
        "test_input_required_result_multi_round" => return rounds(request).map(Some),
        "test_input_required_result_capabilities" => {
            let able = context.client_capabilities().unwrap_or_default();
            let elicits = able.elicitation.is_some().then(|| ("user_name", name()));
            let samples = able.sampling.is_some().then(|| ("greeting", sampling("Generate a greeting", 50)));
            return Ok(Some(ask(elicits.into_iter().chain(samples), None)));
        }
        _ => return Ok(None),
    };
    if has(key) && key != "user_name" {
        return Ok(Some(
            text(format!("answered: {}", answers.map(|answers| &answers[key]).unwrap_or(&Value::Null))).into(),
        ));
    }
    Ok(Some(ask([(key, question)], None)))
}

/// Two questions, one after the other.
fn rounds(request: &CallToolRequestParams) -> Answer<CallToolResponse> {
    if request.input_responses.is_none() {
        return Ok(ask([("step1", elicitation("Step 1: What is your name?", "name", "string"))], state(1)));
    }
    if round(request.request_state.as_ref())? == 1 {
        return Ok(ask([("step2", elicitation("Step 2: What is your favorite color?", "color", "string"))], state(2)));
    }
    Ok(text("both answered").into())
}

fn ask(questions: impl IntoIterator<Item = (&'static str, InputRequest)>, state: Option<String>) -> CallToolResponse {
    let questions: InputRequests = questions.into_iter().map(|(key, question)| (key.to_owned(), question)).collect();
    InputRequiredResult::new(Some(questions), state).into()
}

/// The answer of a tool that talks with its client while it runs.
pub(super) async fn in_the_course(name: &str, arguments: &JsonObject, context: &Asked) -> Answer<CallToolResult> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    match name {
        "test_tool_with_logging" => {
            for (count, message) in
                ["Tool execution started", "Tool processing data", "Tool execution completed"].into_iter().enumerate()
            {
                if count > 0 {
                    sleep(PAUSE).await;
                }
                log(context, message).await;
            }
            Ok(text("logged"))
        }
        "test_logging_tool" => {
            if context.meta.log_level().is_some() {
                log(context, "asked for").await;
            }
            Ok(text("logged if asked to"))
        }
        "test_tool_with_progress" => {
            for (count, progress) in [0.0, 50.0, 100.0].into_iter().enumerate() {
                if count > 0 {
                    sleep(PAUSE).await;
                }
                if let Some(token) = context.meta.get_progress_token() {
                    let told = ProgressNotificationParam::new(token, progress).with_total(100.0);
                    // A client that is gone has cancelled the call.
                    let _ = context.peer.notify_progress(told).await;
                }
            }
            Ok(text("progressed"))
        }
        "test_missing_capability" => match context.client_capabilities().and_then(|able| able.sampling) {
            Some(_) => Ok(text("the client can sample")),
            None => {
                let needed: ClientCapabilities = typed(json!({"sampling": {}}));
                Err(ErrorData::missing_required_client_capability(needed))
            }
        },
        "test_sampling" => {
            let InputRequest::CreateMessage(question) = sampling(argument("prompt"), 100) else {
                return Err(invalid("sampling is sampling"));
            };
            let answer = context.peer.create_message(question.params).await.map_err(refused)?;
            let said = answer.message.content.first().and_then(|content| Some(content.as_text()?.text.clone()));
            Ok(text(format!("LLM response: {}", said.unwrap_or_default())))
        }
        "test_elicitation" => {
            let field = |description: &str| json!({"type": "string", "description": description});
            let fields = json!({"username": field("User's response"), "email": field("User's email address")});
            let schema = json!({"type": "object", "properties": fields, "required": ["username", "email"]});
            elicit(context, argument("message"), schema, "User response").await
        }
        "test_elicitation_sep1034_defaults" => {
            elicit(
                context,
                "Everything has a default",
                json!({"type": "object", "properties": {
                    "name": {"type": "string", "default": "John Doe"},
                    "age": {"type": "integer", "default": 30},
                    "score": {"type": "number", "default": 95.5},
                    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
                    "verified": {"type": "boolean", "default": true},
                }}),
                "Elicitation completed",
            )
            .await
        }
        "test_elicitation_sep1330_enums" => elicit(context, "Choose", choices(), "Elicitation completed").await,
        _ => Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
    }
}

/// Every way in which a schema can offer a choice.
fn choices() -> Value {
    let titled = json!([{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"},
        {"const": "value3", "title": "Third"}]);
    let options = json!(["option1", "option2", "option3"]);
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }})
}

async fn elicit(context: &Asked, message: &str, schema: Value, prefix: &str) -> Answer<CallToolResult> {
    let params = typed(json!({"mode": "form", "message": message, "requestedSchema": schema}));
    let ElicitResult { action, content, .. } = context.peer.create_elicitation(params).await.map_err(refused)?;
    Ok(text(format!("{prefix}: action={}, content={}", json!(action).as_str().unwrap_or_default(), json!(content))))
}

async fn log(context: &Asked, message: &str) {
    let told = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(message));
    // A client that is gone has cancelled the call.
    let _ = context.peer.notify_logging_message(told).await;
}

fn refused(error: rmcp::ServiceError) -> ErrorData {
    ErrorData::invalid_request(format!("the client did not answer: {error}"), None)
}

/// What a task asks before it deletes something, and what it asks when it asks twice.
pub(super) fn confirmations() -> BTreeMap<&'static str, InputRequest> {
    let question = |key| (key, elicitation("Are you sure?", "confirm", "boolean"));
    ["confirm", "first", "second"].into_iter().map(question).collect()
}
