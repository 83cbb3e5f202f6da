//! The text at the live path, or a candidate, and what is to be made of it.

use std::path::Path;
use std::sync::Arc;

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::Paths;
use super::wanted::Wanted;
use crate::engine::failure::{permanent, transient};
use crate::engine::kept::Kept;

/// A text of ours.
#[derive(Clone, Debug)]
pub struct Live {
    /// From its header.
    pub generation: ContentHash,
    /// Taken apart.
    pub wanted: Arc<Wanted>,
}

/// Reads texts; those that were read last need not be taken apart again.
#[derive(Debug, Default)]
pub struct Reader {
    kept: Kept<Wanted>,
}

impl Reader {
    /// Reads a file that must be whole.
    pub fn read(&self, file: &Path, paths: &Paths, step: Step) -> Result<Live, Failure> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            transient(step, format!("reading {}: {e}", file.display()), "check its owner, its mode and the disk")
        })?;
        let read = self.kept.of(&text, |_| Wanted::parse(&text, paths)).map_err(|e| {
            let cure = "correct agent.engine.envoy.template: it must give one static Envoy bootstrap in JSON";
            permanent(step, format!("{} cannot be served by Envoy: {e}", file.display()), cure)
        })?;
        let Some((generation, wanted)) = read else {
            let message = format!("{} is not as tidegate wrote it", file.display());
            return Err(transient(step, message, "keep other programs away from the file"));
        };
        Ok(Live { generation, wanted })
    }
}
