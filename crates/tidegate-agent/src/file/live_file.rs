//! The file at the live path, and whether it may be replaced.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use similar::TextDiff;
use tidegate_core::hash::ContentHash;

use super::FileError;
use super::header::{Seal, unseal};

/// A diff is for people: more lines than this are counted, not shown.
const DIFF_LINES: usize = 80;

/// The engine's configuration file.
#[derive(Clone, Debug)]
pub struct LiveFile {
    path: PathBuf,
    take_over: bool,
    /// The text that was found whole last: what is the same to the byte is whole.
    whole: Arc<Mutex<Option<(ContentHash, String)>>>,
}

/// What is at the live path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A file of ours, whole.
    Ours(ContentHash),
    /// A file of ours that somebody edited: its text.
    Edited(String),
    /// A file of somebody else: its text.
    Foreign(String),
}

impl LiveFile {
    /// The file at `path`; `take_over`: whether one that is not ours may be replaced.
    pub fn new(path: PathBuf, take_over: bool) -> Self {
        Self { path, take_over, whole: Arc::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at it.
    pub fn read(&self) -> Result<Found, FileError> {
        let bytes = match fs_err::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(source) => return Err(FileError::Read { path: self.path.clone(), source }),
        };
        if let Some((generation, _)) = self.whole().as_ref().filter(|(_, text)| text.as_bytes() == bytes) {
            return Ok(Found::Ours(*generation));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(match unseal(&text) {
            Seal::Whole(generation) => {
                self.remember(generation, text);
                Found::Ours(generation)
            }
            Seal::Broken => Found::Edited(text),
            Seal::Missing => Found::Foreign(text),
        })
    }

    /// Notes a text whose seal is whole.
    pub(super) fn remember(&self, generation: ContentHash, text: String) {
        *self.whole() = Some((generation, text));
    }

    fn whole(&self) -> MutexGuard<'_, Option<(ContentHash, String)>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `candidate` may take its place.
    pub fn check_ours(&self, found: &Found, candidate: &str) -> Result<(), FileError> {
        match self.refusal(found, candidate) {
            Some(refusal) if !self.take_over => Err(refusal),
            _ => Ok(()),
        }
    }

    /// How it is not ours, with what would change.
    pub fn refusal(&self, found: &Found, candidate: &str) -> Option<FileError> {
        let path = self.path.clone();
        match found {
            Found::Absent | Found::Ours(_) => None,
            Found::Edited(text) => Some(FileError::Edited { path, diff: diff(&self.path, text, candidate) }),
            Found::Foreign(text) => Some(FileError::Foreign { path, diff: diff(&self.path, text, candidate) }),
        }
    }

    /// A name beside it, for files of ours that live for one apply.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".tidegate-");
        name.push(suffix);
        self.path.with_file_name(name)
    }

    /// Removes what a killed process may have left beside it.
    pub fn sweep(&self) {
        for suffix in ["candidate", "previous"] {
            let path = self.beside(suffix);
            match fs_err::remove_file(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed what an interrupted apply had left"),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, "cannot remove what an interrupted apply had left"),
            }
        }
    }
}

fn diff(path: &Path, from: &str, to: &str) -> String {
    let text = TextDiff::from_lines(from, to);
    let unified =
        text.unified_diff().context_radius(2).header(&path.to_string_lossy(), "what tidegate would write").to_string();
    let total = unified.lines().count();
    if total <= DIFF_LINES {
        return unified;
    }
    let shown: Vec<&str> = unified.lines().take(DIFF_LINES).collect();
    format!("{}\n... and {} more lines", shown.join("\n"), total - DIFF_LINES)
}
