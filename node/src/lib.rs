//! A running agent: sockets, calls, MCP surface, sessions, tracing, health.
//!
//! An agent plugs a [`tool::ToolHost`] into a node; the node does everything else.

pub mod call;
pub mod context;
pub mod mcp;
pub mod tool;
pub mod trace;
