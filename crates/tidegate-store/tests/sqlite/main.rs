//! The SQLite backend: the suite, and what only a file can suffer.
#![cfg(test)]

mod conformance;
mod crash;
mod damage;
mod faults;
mod file;
mod snapshots;
mod support;
mod upgrade;
