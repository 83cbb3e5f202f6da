//! Asks every backend whether it answers, all the time; what follows is decided in [`tidegate_core::probe`].

mod ask;
mod knock;
mod prober;
mod schedule;
mod source;
mod trust;

pub use prober::{News, Prober, Report};
pub use source::Sources;
