//! What most agents use: `use mesh::prelude::*;`.

pub use crate::{Agent, Content, Context, Dep, Error, Llm, Result, Session, State, Stream, args};
