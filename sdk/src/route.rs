//! Routes: axum handlers with dependencies.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use axum::{Json, Router};
use mesh_node::call::Caller;
use mesh_node::context::Scope;
use mesh_node::mcp::inbound;
use mesh_node::tool::{Fault, ToolDescriptor};
use mesh_node::trace::{Outcome, Running, SpanKind, TRACEPARENT, TraceContext};
use serde_json::{Value, json};

use crate::host::NotHosted;
use crate::inject::{Home, Slots};
use crate::need::{Bound, Need};
use crate::service::Floor;
use crate::state::StateType;

/// A function that is a route: the type beside it that mounts it. `#[mesh::route]` makes it;
/// [`Agent::route`](crate::Agent::route) takes it.
pub trait Route {
    /// What its author said about it.
    #[doc(hidden)]
    fn definition() -> RouteDefinition;
}

/// A route as its author described it. Filled in by the code that `#[mesh::route]` makes.
pub struct RouteDefinition {
    method: &'static str,
    path: &'static str,
    needs: Vec<Need>,
    floors: Vec<Floor>,
    state: Option<StateType>,
    mount: fn(RouteHome) -> MethodRouter,
}

/// The way to the mesh, once the node runs: routes are mounted before.
pub(crate) type Mesh = Arc<OnceLock<Caller>>;

/// What a mounted route knows.
#[derive(Clone)]
pub struct RouteHome(Arc<Mounted>);

struct Mounted {
    needs: Arc<[Bound]>,
    floors: Vec<Floor>,
    home: Home,
    mesh: Mesh,
}

impl RouteDefinition {
    /// A route that `mount` makes.
    pub fn new(method: &'static str, path: &'static str, mount: fn(RouteHome) -> MethodRouter) -> Self {
        Self { method, path, needs: Vec::new(), floors: Vec::new(), state: None, mount }
    }

    /// What it depends on next.
    #[must_use]
    pub fn need(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// What the service view called `name` needs, next.
    #[must_use]
    pub fn service<S: crate::service::Service>(mut self, name: &'static str) -> Self {
        self.floors.push(Floor::of::<S>(name, self.needs.len()));
        self.needs.extend(S::needs());
        self
    }

    /// The state that it asks for.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self) -> Self {
        self.state = Some(StateType::of::<T>());
        self
    }

    /// Its name in the mesh, as in the existing system.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.method, self.path)
    }

    /// What the mesh is told of it: a consumer that nobody calls.
    pub(crate) fn told(&self) -> Result<ToolDescriptor, NotHosted> {
        let mut told = ToolDescriptor::new(self.name());
        for need in &self.needs {
            let (dependency, body) =
                need.declared().map_err(|why| NotHosted::Schema { who: self.name(), why: why.to_string() })?;
            told.dependencies.push(dependency);
            told.expected_schemas.extend(body);
        }
        Ok(told)
    }

    /// Adds it to `router`, as part of the agent that `home` is.
    pub(crate) fn mount(self, router: Router, home: &Home, mesh: &Mesh) -> Result<Router, NotHosted> {
        let who = self.name();
        home.check_state(&who, self.state)?;
        let needs = home.bind(&who, &self.needs)?;
        let is_traced = !needs.is_empty();
        let mounted = Mounted { needs, floors: self.floors, home: home.clone(), mesh: mesh.clone() };
        let mut route = (self.mount)(RouteHome(Arc::new(mounted)));
        // One that calls nobody is part of no trace: a page, say.
        if is_traced {
            route = route.layer(from_fn_with_state((mesh.clone(), Arc::<str>::from(who)), traced));
        }
        Ok(router.route(self.path, route))
    }
}

impl FromRequestParts<RouteHome> for Slots {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, home: &RouteHome) -> Result<Self, Response> {
        let RouteHome(mounted) = home;
        let Some(caller) = mounted.mesh.get().cloned() else {
            let body =
                json!({ "error": "starting", "message": "the agent has not started yet; repeat it in a moment" });
            return Err((StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response());
        };
        let scope = inherited(&parts.headers, &caller);
        let slots = Self { needs: mounted.needs.clone(), caller, scope, home: mounted.home.clone() };
        slots.check(&mounted.floors).map_err(|fault| refusal(&fault))?;
        Ok(slots)
    }
}

/// Answers a request within a span, below which all calls are that are made for it. A stream goes on after its span.
async fn traced(State((mesh, name)): State<(Mesh, Arc<str>)>, mut request: Request, next: Next) -> Response {
    let Some(caller) = mesh.get().cloned() else { return next.run(request).await };
    let outer = inherited(request.headers(), &caller).trace;
    let at = TraceContext::below(outer.as_ref());
    let value = HeaderValue::try_from(at.to_string()).expect("it is of digits and dashes");
    request.headers_mut().insert(TRACEPARENT, value);
    let span = Running::begin(caller.ring(), SpanKind::Route, &at, outer.map(|outer| outer.span_id), &name);
    let response = next.run(request).await;
    match response.status() {
        status if status.is_client_error() || status.is_server_error() => span.end(Outcome::Error, status.to_string()),
        _ => span.end(Outcome::Ok, ""),
    }
    response
}

/// What calls made for a request inherit from its headers: session, trace, deadline, those that travel along, and for
/// tools that demand it who the client says it is.
fn inherited(headers: &HeaderMap, caller: &Caller) -> Scope {
    inbound::scope(headers, None, &caller.settings().propagate)
}

fn refusal(fault: &Fault) -> Response {
    let mut body: Value =
        fault.data.as_ref().and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_else(|| json!({}));
    body["message"] = Value::from(fault.message.as_str());
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

impl fmt::Debug for RouteDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
