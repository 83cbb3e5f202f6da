//! Templates to text. Only values that were checked once can be written; there is no file access.

mod environment;
mod vetted;
pub mod view;

pub use environment::{Template, TemplateError};
pub use vetted::{UnsafePath, Vetted};
