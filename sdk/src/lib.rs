//! Agents on the mesh. This one is complete:
//!
//! ```no_run
//! use mesh::prelude::*;
//!
//! /// Greets someone, with today's date when somebody in the mesh knows it.
//! #[mesh::tool(capability = "greeting", tags = ["hello"], idempotent)]
//! async fn greet(name: String, #[dep("date_service")] date: Option<Dep<String>>) -> Result<String> {
//!     let today = match date {
//!         Some(date) => date.call(()).await?,
//!         None => "some day".to_owned(),
//!     };
//!     Ok(format!("Hello, {name}! It is {today}."))
//! }
//!
//! #[mesh::main]
//! async fn main() -> Result {
//!     Agent::new("hello-world").tool::<greet>().run().await
//! }
//! ```
//!
//! There is nothing else to start: agents on one machine find each other, others are given a seed (`MESH_SEEDS`). Each
//! serves MCP over HTTP at `/mcp` as well.
//!
//! | | |
//! |---|---|
//! | [`macro@tool`] | makes a function a tool, its parameters a schema, its `Dep` parameters dependencies |
//! | [`macro@llm`] | makes a function a tool that has a model of the mesh, and gives that the mesh's tools |
//! | [`macro@route`] | makes an axum handler a route with dependencies |
//! | [`macro@service`] | makes a trait a typed view of several capabilities |
//! | [`Agent`] | puts tools, routes and state together and runs them; [`run`] runs several in one process |
//! | [`Dep`] | somebody who provides a capability: call it, stream from it, stay with it in a session |
//! | [`Context`] | the call that a tool serves: deadline, trace, session, progress, questions to the client |
//! | [`testing`] | a mesh in a test |

extern crate self as mesh;

/// What the guide shows is compiled, and run where it can be.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sdk.md")]
struct Guide;

mod agent;
mod arguments;
mod content;
mod context;
mod dep;
mod error;
#[doc(hidden)]
pub mod glue;
mod host;
mod inject;
pub mod llm;
mod need;
pub mod prelude;
mod process;
mod received;
mod returned;
mod route;
mod schema;
mod service;
mod session;
mod state;
mod stream;
pub mod testing;
mod tool;
mod verifier;

/// Makes a function a tool that has a model: a parameter `llm: Llm<T>`, which answers with a `T`. Everything that
/// [`macro@tool`] takes, and:
///
/// | key | |
/// |---|---|
/// | `provider("llm", tags = ["+claude"], version = "…")` | who runs the model: a dependency like any other; required unless the parameter is an `Option` |
/// | `filter = ["flight_search", { capability = "hotels", tags = ["fast"] }, { tags = ["weather"] }]` | which tools of the mesh the model may call; none without it |
/// | `filter_mode = "all"` | or `best_match`: one for each capability; or `*`: all there are |
/// | `prompt = "…"` | its instructions: a minijinja template, or the path of one (`prompts/plan.j2`, from the package's folder), which is embedded; `MESH_PROMPT_<TOOL>` is used instead |
/// | `context = Known` | what the template may use besides the tool's arguments: the fields of this type, given by [`Llm::context`] |
/// | `max_iterations = 10`, `max_total_tokens = 20_000`, `max_cost_usd = 0.5` | when it has to have an answer |
/// | `max_result_bytes = 32768` | how much of a tool's result it is shown |
/// | `max_tokens`, `temperature`, `top_p`, `seed`, `model`, `output_mode`, `parallel_tool_calls` | how it answers |
///
/// ```
/// use mesh::prelude::*;
///
/// #[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Plan { title: String, days: Vec<String> }
///
/// /// Plans a trip from real flights and hotels.
/// #[mesh::llm(capability = "trip_planning", provider("llm", tags = ["+claude"]), filter = ["flight_search", "hotel_search"],
///     prompt = "You plan trips to {{ destination }}.", max_iterations = 10)]
/// async fn plan_trip(destination: String, llm: Llm<Plan>) -> Result<Plan> {
///     Ok(llm.ask(format!("Three days in {destination}")).await?)
/// }
/// ```
pub use mesh_macros::llm;
/// Makes an async function the program: a runtime, a log (`MCP_MESH_LOG_LEVEL`, or `RUST_LOG` in detail; coloured only
/// on a terminal), an error as one sentence and exit code 1.
pub use mesh_macros::main;
/// Makes an axum handler a route: `#[mesh::route(POST, "/plan")]`. Parameters with `#[dep("capability", …)]`,
/// `#[service]` and [`State`] are injected, all others are axum's extractors; [`Session`] is one. While a required
/// dependency is absent the answer is 503, in JSON, and names it. [`Stream`] answers with server-sent events.
///
/// ```
/// use axum::Json;
/// use mesh::prelude::*;
///
/// #[mesh::route(POST, "/greet")]
/// async fn greet(#[dep("greeting")] greeting: Dep<String>, session: Session, Json(name): Json<String>) -> Result<String> {
///     Ok(greeting.session(session).call(args! { name }).await?)
/// }
///
/// let api = Agent::new("api").route::<greet>();
/// ```
pub use mesh_macros::route;
/// Makes a trait a struct whose methods each call a capability. As a parameter, `#[service] travel: Travel`.
/// `min_available = n` refuses the call before the body runs while fewer of the capabilities are there.
///
/// ```
/// use mesh::prelude::*;
///
/// #[mesh::service(min_available = 1)]
/// trait Travel {
///     /// Finds flights.
///     #[selector("travel.flights", tags = ["+fast"])]
///     async fn flights(&self, from: String, to: String) -> Result<Vec<String>>;
///     /// Finds hotels; a tool that has this view is withdrawn while nobody does.
///     #[selector("travel.hotels", required)]
///     async fn hotels(&self, city: String) -> Result<Vec<String>>;
/// }
///
/// #[mesh::tool(capability = "trip")]
/// async fn plan(city: String, #[service] travel: Travel) -> Result<usize> {
///     Ok(travel.hotels(city).await?.len())
/// }
/// ```
pub use mesh_macros::service;
/// Makes a function a tool. The function stays as it is; a type of the same name is what [`Agent::tool`] takes.
///
/// | key | |
/// |---|---|
/// | `capability = "…"`, `version = "1.0.0"`, `tags = ["…"]` | what it provides; without a capability it is called by name only |
/// | `name`, `title`, `description` | instead of the function's name and doc comment |
/// | `idempotent`, `read_only`, `destructive`, `open_world` | its manners, told to MCP clients; an idempotent one may be called again when its fate is unknown |
/// | `timeout = "5s"`, `retry_count = 2`, `session_required`, `auth_required`, `custom_headers = [("…", "…")]` | how it wants to be called |
///
/// | parameter | |
/// |---|---|
/// | any type that is `Deserialize` and `JsonSchema` | an argument; its doc comment is its description, `Option` may be missing, `#[default(5)]` says what it is then |
/// | `#[dep("capability", …)] x: Dep<T>` | required: the tool is withdrawn while nobody provides it |
/// | `#[dep("capability", …)] x: Option<Dep<T>>` | optional |
/// | `#[service] x: View` | a view made by [`macro@service`] |
/// | [`Context`], [`State<T>`] | the call; what the agent's tools share |
///
/// A dependency takes `tags = ["api", "+fast", "-old", ["python", "+rust"]]`, `version = ">=1.2 <2"`, `namespace`,
/// `schema = subset` or `strict` (how the provider's result has to match `T`), `timeout`, `retry_count`, `idempotent`,
/// `session_required` and `custom_headers`.
///
/// It returns what is `Serialize` and `JsonSchema`, [`Content`], [`Stream<T>`](Stream) or an `impl Stream`, or a `Result`
/// of these with any error. A function that is not `async` runs on a thread where it may block.
pub use mesh_macros::tool;
/// Why a call has no result, by what the caller may do.
pub use mesh_node::call::CallError;
/// Where agents of this user keep what outlives them: `MCP_MESH_HOME`, else `.mcp-mesh` in the user's home directory.
pub use mesh_node::config::env::home;
pub use mesh_node::context::Origin;
pub use mesh_node::health::Verdict;

pub use agent::{Agent, AgentError, IntoVerdict, RunningAgent, run, start};
pub use arguments::{Argument, BadArguments};
pub use content::Content;
pub use context::{CannotAsk, Context, Level};
pub use dep::{Dep, DepError, Items};
pub use error::{Error, Result};
pub use host::NotHosted;
pub use llm::Llm;
pub use process::Ended;
pub use received::Received;
pub use returned::Returned;
pub use route::Route;
pub use service::{Absent, Service};
pub use session::{SESSION_HEADER, Session};
pub use state::State;
pub use stream::{Sender, Stream, TakerGone};
pub use tool::Tool;
pub use verifier::Credentials;
