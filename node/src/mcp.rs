//! MCP, towards clients: the only rooms that name rmcp.

pub mod access;
mod body;
pub mod client;
pub mod convert;
pub mod endpoint;
pub mod envelope;
pub mod gateway;
pub mod inbound;
mod local;
pub mod relay;
mod sessions;
pub mod surface;
#[cfg(test)]
mod tests;
mod updates;

pub use endpoint::Endpoint;
pub use gateway::Gateway;
pub use local::Own;
pub use relay::Relay;
pub use surface::Surface;
