//! What the tools of one agent share.

use std::any::{Any, TypeId, type_name};
use std::ops::Deref;
use std::sync::Arc;

/// The state of an agent, given to [`Agent::state`](crate::Agent::state) and shared by its tools and routes.
///
/// A tool that asks for a state that its agent does not have stops the agent from starting.
#[derive(Debug)]
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// The same state by another handle; tests of a tool make one of their own.
    pub fn new(state: impl Into<Arc<T>>) -> Self {
        Self(state.into())
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A type of state, and how it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateType {
    id: TypeId,
    pub(crate) name: &'static str,
}

/// The state of an agent whose type is not known here.
#[derive(Clone)]
pub(crate) struct AnyState {
    pub(crate) of: StateType,
    state: Arc<dyn Any + Send + Sync>,
}

impl StateType {
    pub(crate) fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }
}

impl PartialEq for StateType {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl AnyState {
    pub(crate) fn new<T: Send + Sync + 'static>(state: T) -> Self {
        Self { of: StateType::of::<T>(), state: Arc::new(state) }
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<State<T>> {
        self.state.clone().downcast().ok().map(State)
    }
}
