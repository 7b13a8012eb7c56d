//! LLM vendors as agents of the mesh.
//!
//! A provider is an agent without code: it offers the capability `llm`, and agents that need a model find it as they find
//! anything else. See [`Provider`].
//!
//! | model | where, with which key |
//! |---|---|
//! | `anthropic/…` | `ANTHROPIC_BASE_URL`, `ANTHROPIC_API_KEY` |
//! | `openai/…` | `OPENAI_BASE_URL`, `OPENAI_API_KEY` |
//! | `gemini/…` | `GEMINI_BASE_URL`, `GEMINI_API_KEY` |
//! | `ollama/…`, `vllm/…`, `litellm/…` | `OLLAMA_BASE_URL`, …; a key if the server wants one |
//! | `compatible/…` | any other server that speaks OpenAI's chat completions: `COMPATIBLE_BASE_URL`, `COMPATIBLE_API_KEY` |
//! | `local` | the demonstration model in this crate: no network, no key |

mod failure;
mod gate;
mod ledger;
mod local;
mod meters;
mod model;
mod price;
mod provider;
mod remote;
mod rounds;
mod secret;
mod service;
mod vendor;

pub use ledger::{CannotKeep, Line, Sum};
pub use price::{BadPrices, PRICES_VARIABLE};
pub use provider::{CAPABILITY, COSTS_CAPABILITY, Provider, ProviderError};
pub use service::Costs;
pub use vendor::{ModelName, NotAModel, NotReachable, Vendor};
