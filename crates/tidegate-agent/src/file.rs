//! The engine's configuration file: whose it is, and how it is replaced.

mod error;
mod header;
mod live_file;
mod stamp;
mod swap;

pub use error::FileError;
pub use header::{Seal, seal, unseal};
pub use live_file::{Found, LiveFile};
pub use stamp::Stamp;
pub use swap::{Candidate, Previous};
