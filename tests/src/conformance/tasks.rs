//! Tools that become tasks.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult, JsonObject};
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use serde_json::Value;

use super::{Answer, Asked, asking};

/// Starts the task that the tool `name` is; nothing if it is none.
pub(super) fn start(
    tasks: &TaskManager,
    name: &str,
    arguments: &JsonObject,
    context: &Asked,
) -> Answer<Option<CallToolResponse>> {
    if !matches!(
        name,
        "slow_compute"
            | "failing_job"
            | "protocol_error_job"
            | "confirm_delete"
            | "multi_input"
            | "test_tool_with_task"
    ) {
        return Ok(None);
    }
    if !context.client_capabilities().is_some_and(|able| able.supports_tasks()) {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(needed));
    }
    let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let name = name.to_owned();
    let task = tasks.spawn(TaskOptions::new().with_poll_interval_ms(100), move |context| {
        Box::pin(async move { run(&name, seconds, context).await })
    });
    Ok(Some(CreateTaskResult::new(task).into()))
}

async fn run(name: &str, seconds: Duration, context: TaskContext) -> Result<CallToolResult, TaskExit> {
    let text = |text: &str| vec![ContentBlock::text(text)];
    let mut questions = asking::confirmations();
    let mut ask = |key: &'static str| {
        let question = questions.remove(key).expect("each is asked once");
        context.request_input(key, question)
    };
    match name {
        "failing_job" => Ok(CallToolResult::error(text("this job always fails"))),
        "protocol_error_job" => Err(ErrorData::internal_error("this job always breaks", None).into()),
        "confirm_delete" => {
            ask("confirm").await?;
            Ok(CallToolResult::success(text("deleted")))
        }
        "multi_input" => {
            let (first, second) = (ask("first"), ask("second"));
            let (first, second) = tokio::join!(first, second);
            first.and(second)?;
            Ok(CallToolResult::success(text("both answered")))
        }
        _ => tokio::select! {
            () = tokio::time::sleep(seconds) => Ok(CallToolResult::success(text("computed"))),
            () = context.cancelled() => Err(TaskExit::Cancelled),
        },
    }
}
