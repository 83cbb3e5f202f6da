//! Standard Webhooks 1.0: how a hook is signed, and what an agent checks before it reads one.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

mod admission;
mod replay;
mod secret;
mod signature;

pub use admission::{Admission, Admitted};
pub use replay::ReplayWindow;
pub use secret::{InvalidSecret, Secret};
pub use signature::{ID_HEADER, SIGNATURE_HEADER, SignedHeaders, TIMESTAMP_HEADER, TOLERANCE, sign, verify};
