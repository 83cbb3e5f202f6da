//! The library behind the `tidegate` binary: configuration, commands, wiring and generated docs.
//!
//! It is a library only so that tests and `xtask` can use the same code; everything that decides is
//! in `tidegate-core`.

pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod docs;
pub mod exit;
pub mod output;
pub mod recorded;
pub mod serve;
pub mod tls;
