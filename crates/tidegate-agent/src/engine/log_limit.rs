//! Keeping an engine's log short: a backend that refuses may write a line for every connection.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// Some 100,000 lines, and as many in the predecessor.
const LIMIT: u64 = 16 * 1024 * 1024;

/// Whether a log is longer than it should be.
pub fn is_exceeded(log: &Path) -> bool {
    std::fs::metadata(log).is_ok_and(|m| m.len() > LIMIT)
}

/// Moves what a log holds to its one predecessor.
///
/// By a copy: the engine keeps writing to the same file, at its end wherever that is (nginx told by USR1 to open a new
/// one: its workers would need their own (unprivileged) way into the state directory). Lines written during the copy are lost.
pub fn shorten(log: &Path) {
    let predecessor = predecessor(log);
    if let Err(error) = fs_err::copy(log, &predecessor) {
        // Most likely the disk is full: then room is worth more than old lines.
        tracing::warn!(%error, "the engine's log is cut without being kept");
        _ = std::fs::remove_file(&predecessor);
    }
    match OpenOptions::new().write(true).open(log).and_then(|file| file.set_len(0)) {
        Ok(()) => tracing::info!(log = %log.display(), kept = %predecessor.display(), "cut the engine's log"),
        Err(error) => {
            tracing::warn!(log = %log.display(), %error, "the engine's log cannot be cut and goes on growing");
        }
    }
}

fn predecessor(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}
