//! The commands, one module each: its arguments as clap reads them, and its `run`.

pub(crate) mod completion;
