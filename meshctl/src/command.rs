//! The commands, one module each: its arguments as clap reads them, and its `run`.

pub(crate) mod completion;
pub(crate) mod logs;
pub(crate) mod seed;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod watch_sources;
