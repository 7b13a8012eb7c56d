//! A running agent: sockets, calls, MCP surface, sessions, tracing, health.
//!
//! An agent plugs a [`tool::ToolHost`] into a node; the node does everything else.

pub mod admin;
pub mod call;
pub mod config;
pub mod context;
pub mod health;
mod http;
pub mod mcp;
mod metrics;
pub mod node;
pub mod offers;
mod open_files;
pub mod propagation;
pub mod registry;
pub mod run;
pub mod runtime_file;
pub mod session;
pub mod tls;
pub mod tool;
pub mod trace;
pub mod wrap;
