//! What bodies of tools and handlers of routes are given besides their arguments: dependencies, views, state.

use std::fmt;
use std::sync::Arc;

use mesh_gossip::resolve::Resolver;
use mesh_node::call::Caller;
use mesh_node::config::NodeConfig;
use mesh_node::context::Scope;
use mesh_node::tool::{Fault, FaultKind};
use serde_json::json;

use crate::dep::Dep;
use crate::host::NotHosted;
use crate::llm::Descriptions;
use crate::need::{Bound, Need};
use crate::received::Received;
use crate::service::{Floor, Service};
use crate::state::{AnyState, State, StateType};

/// What every part of one agent shares.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) namespace: Arc<str>,
    pub(crate) state: Option<AnyState>,
    /// Keeps the answers to what is asked ad hoc.
    pub(crate) resolver: Arc<Resolver>,
    /// The agent's name.
    pub(crate) agent: Arc<str>,
    /// How tools' arguments are described, for models.
    pub(crate) descriptions: Arc<Descriptions>,
    /// What the environment says.
    pub(crate) environment: Environment,
}

/// What a variable of the environment says.
pub(crate) type Environment = fn(&str) -> Option<String>;

/// The dependencies and the state of one call.
#[derive(Clone)]
pub struct Slots {
    pub(crate) needs: Arc<[Bound]>,
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    pub(crate) home: Home,
}

impl Home {
    pub(crate) fn new(config: &NodeConfig, state: Option<AnyState>, environment: Environment) -> Self {
        let (namespace, agent) = (config.namespace.clone(), config.name.as_str().into());
        Self { namespace, state, resolver: Arc::default(), agent, descriptions: Arc::default(), environment }
    }

    /// Whether `wanted` is here, if anything is wanted.
    pub(crate) fn check_state(&self, who: &str, wanted: Option<StateType>) -> Result<(), NotHosted> {
        let Some(wanted) = wanted else { return Ok(()) };
        let found = match &self.state {
            Some(state) if state.of == wanted => return Ok(()),
            Some(state) => format!("a `{}`", state.of.name),
            None => "none".into(),
        };
        Err(NotHosted::NoState { who: who.into(), wanted: wanted.name, found })
    }

    /// The dependencies of `who`, bound to this agent.
    pub(crate) fn bind(&self, who: &str, needs: &[Need]) -> Result<Arc<[Bound]>, NotHosted> {
        let bound = needs.iter().map(|need| {
            let (dependency, _) =
                need.declared().map_err(|why| NotHosted::Schema { who: who.into(), why: why.to_string() })?;
            Ok(need.bind(&dependency, &self.namespace))
        });
        bound.collect()
    }
}

impl Slots {
    /// The required dependency at `place`.
    pub fn required<T: Received>(&self, place: usize) -> Dep<T> {
        self.dep(&self.needs[place])
    }

    /// The dependency at `place`, if somebody provides it now.
    pub fn optional<T: Received>(&self, place: usize) -> Option<Dep<T>> {
        let need = &self.needs[place];
        self.is_there(need).then(|| self.dep(need))
    }

    /// Whether somebody provides the dependency at `place` now.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.is_there(&self.needs[place])
    }

    /// The view whose dependencies begin at `first`.
    pub fn service<S: Service>(&self, first: usize) -> S {
        S::of(self, first)
    }

    /// The agent's state.
    pub fn state<T: Send + Sync + 'static>(&self) -> State<T> {
        let state = self.home.state.as_ref().and_then(AnyState::get);
        state.expect("an agent whose tools ask for another state does not start")
    }

    /// Whether everything that is required is there, and enough of every view.
    pub(crate) fn check(&self, floors: &[Floor]) -> Result<(), Fault> {
        if let Some(absent) = self.needs.iter().find(|need| need.required && !self.is_there(need)) {
            return Err(unavailable(absent.capability(), &format!("nobody provides {}", absent.wanted())));
        }
        for floor in floors.iter().filter(|floor| floor.least > 0) {
            let of_view = &self.needs[floor.first..floor.first + floor.count];
            let absent = of_view.iter().filter(|need| !self.is_there(need)).map(Bound::capability);
            let absent: Vec<&str> = absent.collect();
            let there = of_view.len() - absent.len();
            if there < floor.least {
                let (view, least, absent) = (floor.view, floor.least, absent.join(", "));
                let why = format!("{view} needs {least} of its capabilities and has {there}: nobody provides {absent}");
                return Err(unavailable(&absent, &why));
            }
        }
        Ok(())
    }

    fn is_there(&self, need: &Bound) -> bool {
        self.caller.resolve(need.query.selector()).best().is_some()
    }

    fn dep<T>(&self, need: &Bound) -> Dep<T> {
        Dep::new(self.caller.clone(), need, self.scope.clone())
    }
}

fn unavailable(capability: &str, why: &str) -> Fault {
    let data = json!({ "error": "dependency_unavailable", "capability": capability }).to_string();
    let fault = Fault::new(FaultKind::DependencyUnavailable, format!("dependency_unavailable: {why}"));
    Fault { data: Some(data.into()), ..fault }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dependencies", self.needs.len())
    }
}
