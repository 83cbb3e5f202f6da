//! The MongoDB backend of the store: the suite, and what only a server can suffer.
#![cfg(test)]

mod conformance;
mod damage;
mod faults;
mod migrate;
mod nodes;
mod refusals;
mod support;
