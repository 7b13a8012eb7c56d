//! How a dependency is reached: over the mesh, or played by a test.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use mesh_gossip::catalog::AgentId;
use mesh_gossip::resolve::Query;
use mesh_node::call::options::CallOptions;
use mesh_node::call::{CallError, Caller, Request, Target};
use mesh_node::context::{Outlet, Scope, SessionKey};
use mesh_node::tool::{Fault, FaultKind, Payload};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Items;
use super::items::ITEMS_AHEAD;
use crate::error::Result as BodyResult;
use crate::received::Received;

/// What plays a dependency.
pub(crate) type Fake = Arc<dyn Fn(Option<String>, Value) -> BoxFuture<'static, BodyResult<Value>> + Send + Sync>;

/// How a dependency is reached.
#[derive(Clone)]
pub(crate) enum Way {
    Mesh { caller: Caller, query: Arc<Query> },
    Fake(Fake),
}

/// One call to be made.
pub(crate) struct Wish {
    pub(crate) tool: Option<Arc<str>>,
    pub(crate) arguments: Bytes,
    pub(crate) options: CallOptions,
    pub(crate) scope: Scope,
    pub(crate) session: Option<SessionKey>,
}

/// A result, and who gave it.
pub(crate) type Given = Result<(Payload, String), CallError>;

const FAKE: &str = "a fake";

impl Way {
    pub(crate) fn provider(&self) -> Option<AgentId> {
        match self {
            Self::Mesh { caller, query } => {
                let resolution = caller.resolve(query.selector());
                resolution.best().map(|candidate| candidate.offer.agent().clone())
            }
            Self::Fake(_) => "fake".parse().ok(),
        }
    }

    pub(crate) async fn call(&self, wish: Wish) -> Given {
        match self {
            Self::Mesh { caller, query } => {
                let reply = caller.call(wish.request(query)).await?;
                Ok((reply.payload, reply.agent.to_string()))
            }
            Self::Fake(fake) => played(fake, wish).await,
        }
    }

    pub(crate) fn stream<T: Received>(&self, wish: Wish) -> Items<T> {
        let (outlet, updates) = mpsc::channel(ITEMS_AHEAD);
        let call: BoxFuture<'static, Given> = match self {
            Self::Mesh { caller, query } => {
                let (caller, request) = (caller.clone(), wish.request(query));
                Box::pin(async move {
                    let reply = caller.call_streaming(request, Outlet::to(outlet)).await?;
                    Ok((reply.payload, reply.agent.to_string()))
                })
            }
            Self::Fake(fake) => {
                let fake = fake.clone();
                Box::pin(async move { played(&fake, wish).await })
            }
        };
        Items::new(call, updates)
    }
}

impl Wish {
    fn request(self, query: &Arc<Query>) -> Request {
        let Self { tool, arguments, options, scope, session } = self;
        let target = Target::Capability(query.clone());
        Request { tool, session, options, scope, ..Request::new(target, arguments) }
    }
}

async fn played(fake: &Fake, wish: Wish) -> Given {
    let tool = wish.tool.as_deref().map(str::to_owned);
    let arguments = serde_json::from_slice(&wish.arguments).map_err(|error| CallError::Invalid(error.to_string()))?;
    match fake(tool, arguments).await {
        Ok(value) => Ok((Payload::Value(value.to_string().into()), FAKE.to_owned())),
        Err(error) => {
            let agent = "fake".parse().map_err(|_| CallError::Invalid(FAKE.into()))?;
            Err(CallError::Fault { agent, fault: Fault::new(FaultKind::Failed, error.to_string()) })
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh { query, .. } => write!(f, "{}", query.selector()),
            Self::Fake(_) => f.write_str(FAKE),
        }
    }
}
