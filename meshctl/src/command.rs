//! The commands, one module each: its arguments as clap reads them, and its `run`.

pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod costs;
pub(crate) mod deps;
pub(crate) mod force_leave;
pub(crate) mod init;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod members;
pub(crate) mod provider;
pub(crate) mod seed;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod tools;
pub(crate) mod trace;
pub(crate) mod wait;
pub(crate) mod watch_sources;
pub(crate) mod wrap;
