//! The commands, one module each: its arguments as clap reads them, and its `run`.

pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod init;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod seed;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod watch_sources;
pub(crate) mod wrap;
