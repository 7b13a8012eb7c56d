//! Models as dependencies: asked through the mesh, shown its tools, failed over and accounted for.
//!
//! `#[mesh::llm]` gives a tool an [`Llm`]. What travels between it and whoever provides a model is [`wire`].

mod answer;
mod error;
mod handle;
mod limits;
mod machine;
mod meters;
mod models;
mod names;
mod prompt;
mod settings;
mod shown;
mod talk;
mod tools;
mod transcript;
pub mod wire;
mod words;

pub use error::{LlmError, Why};
pub(crate) use handle::Parts;
pub use handle::{Answer, Llm, Question};
pub use limits::Spent;
pub use prompt::PromptError;
pub(crate) use settings::LlmSettings;
pub use settings::{BadLlm, LlmDeclaration};
pub(crate) use tools::Descriptions;
pub use words::{LlmStream, Piece};
