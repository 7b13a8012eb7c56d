//! MCP, towards clients: the only rooms that name rmcp.

pub mod client;
