//! Tasks: calls of tools that go on after they were answered. Each stays with the replica that began it, whose name is
//! part of the task's id here: nothing has to be remembered, and every node that serves the mesh can be asked about it.

use std::sync::Arc;

use rmcp::ErrorData;
use serde::Serialize;
use serde_json::Value;

use super::call::Way;
use super::{Answer, Asked, Session, internal};
use crate::mcp::gateway::directory::Replica;
use crate::mcp::gateway::names::Thing;
use crate::mcp::gateway::wire::Unanswered;
use crate::tool::JsonObject;

/// The field of results and parameters that has a task's id.
const ID: &str = "taskId";

impl Session {
    /// Asks the replica that runs the task `id` what `params`, which are about it, say.
    pub(super) async fn ask_about_task(
        &self,
        id: &str,
        method: &'static str,
        params: &impl Serialize,
        context: &Asked,
    ) -> Answer<JsonObject> {
        let directory = self.inner.directory();
        let unknown = || ErrorData::invalid_params(format!("there is no task {id}"), None);
        let (own, keeper) = id.rsplit_once('~').ok_or_else(unknown)?;
        let Some((agent, replica)) = directory.replica(keeper) else {
            let why = format!("the task {own} is lost: {keeper}, which ran it, is gone; call the tool again");
            return Err(ErrorData::invalid_params(why, None));
        };
        let Value::Object(mut params) = serde_json::to_value(params).map_err(internal)? else { return Err(unknown()) };
        params.insert(ID.to_owned(), own.into());
        let thing = Thing { agent: Arc::clone(agent), name: method.into() };
        let way = Way { replicas: vec![replica], method, subject: own, is_repeatable: true };
        let mut result = self.passed(&thing, way, &params, context).await.map_err(|error| match error {
            Unanswered::Unreachable(why) | Unanswered::Lost(why) => {
                ErrorData::internal_error(format!("{keeper}, which runs the task {own}, does not answer: {why}"), None)
            }
            Unanswered::Refused(error) => error,
        })?;
        if result.contains_key(ID) {
            result.insert(ID.to_owned(), id.into());
        }
        Ok(result)
    }
}

/// The result of a call to `replica`; when it is a task, with an id that says where that runs.
pub(in crate::mcp::gateway) fn named(mut result: JsonObject, replica: &Replica) -> JsonObject {
    let is_task = result.get("resultType").and_then(Value::as_str) == Some("task");
    if let Some(id) = result.get_mut(ID).filter(|_| is_task)
        && let Some(own) = id.as_str()
    {
        *id = format!("{own}~{}", replica.owner.agent.as_str()).into();
    }
    result
}
