//! The last-known-good state on disk, and the candidate that is about to replace it.
//!
//! `candidate.json` is written before an apply touches anything and becomes `last-known-good.json` once
//! it is verified. So after a kill at any point the agent knows which state the live file stands for, and
//! which position it has admitted.

mod note;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

pub use note::Note;

/// A snapshot that cannot be read or written.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// It is there but cannot be read.
    #[error("reading snapshot {}: {source}; cure: check its owner and mode", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("snapshot {} is damaged ({detail}); cure: none needed, the controller's next push replaces it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// It cannot be written.
    #[error("writing snapshot {}: {source}; cure: free space on that filesystem and check its owner and mode", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SnapshotError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Read { .. } | Self::Write { .. } => ErrorClass::Transient,
            Self::Damaged { .. } => ErrorClass::Permanent,
        }
    }

    /// As it is shown in the status; the message holds the cure.
    pub fn as_failure(&self) -> Failure {
        Failure { step: Step::Verify, class: self.class(), message: self.to_string(), cure: String::new() }
    }
}

/// The two files in a state directory.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
}

#[derive(Serialize)]
struct Sealed<'a> {
    sha256: ContentHash,
    state: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened<'a> {
    sha256: ContentHash,
    #[serde(borrow)]
    state: &'a serde_json::value::RawValue,
}

impl Snapshots {
    /// Of this directory.
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The state that was last verified; nothing before the first.
    pub fn last_known_good(&self) -> Result<Option<DesiredState>, SnapshotError> {
        read(&self.good_path())
    }

    /// The state of the newest apply, if it was not verified.
    pub fn candidate(&self) -> Result<Option<DesiredState>, SnapshotError> {
        read(&self.candidate_path())
    }

    /// Notes what is about to be applied. Not synced: after a power cut the last verified state is the better one.
    pub fn note_candidate(&self, state: &DesiredState) -> Result<(), SnapshotError> {
        let path = self.candidate_path();
        write(&path, state).map_err(|source| SnapshotError::Write { path, source })
    }

    /// Brings the candidate and its name to the disk: while the engine is told there is time for it.
    pub fn sync_candidate(&self) -> Result<(), SnapshotError> {
        let path = self.candidate_path();
        let synced = std::fs::File::open(&path).and_then(|file| file.sync_all()).and_then(|()| self.sync_names());
        synced.map_err(|source| SnapshotError::Write { path, source })
    }

    /// Makes the candidate, which was just verified and is on the disk, the last-known-good state.
    ///
    /// The new name need not be on the disk: after a power cut the candidate is there by the one name or by the other, and
    /// a candidate whose text is at the live path comes first at the next start.
    pub fn promote_candidate(&self) -> Result<(), SnapshotError> {
        let path = self.good_path();
        std::fs::rename(self.candidate_path(), &path).map_err(|source| SnapshotError::Write { path, source })
    }

    /// Makes a state the last-known-good one, durably.
    pub fn promote(&self, state: &DesiredState) -> Result<(), SnapshotError> {
        self.note_candidate(state)?;
        self.sync_candidate()?;
        self.promote_candidate()
    }

    fn sync_names(&self) -> io::Result<()> {
        std::fs::File::open(&self.dir)?.sync_all()
    }

    fn good_path(&self) -> PathBuf {
        self.dir.join("last-known-good.json")
    }

    fn candidate_path(&self) -> PathBuf {
        self.dir.join("candidate.json")
    }
}

fn read(path: &Path) -> Result<Option<DesiredState>, SnapshotError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SnapshotError::Read { path: path.to_owned(), source }),
    };
    parse(&bytes).map(Some).map_err(|detail| SnapshotError::Damaged { path: path.to_owned(), detail })
}

fn parse(bytes: &[u8]) -> Result<DesiredState, String> {
    let opened: Opened<'_> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if ContentHash::of_bytes(opened.state.get().as_bytes()) != opened.sha256 {
        return Err("its SHA-256 does not match".to_owned());
    }
    serde_json::from_str(opened.state.get()).map_err(|e| e.to_string())
}

fn write(path: &Path, state: &DesiredState) -> io::Result<()> {
    let state = serde_json::value::to_raw_value(state)?;
    let sha256 = ContentHash::of_bytes(state.get().as_bytes());
    let bytes = serde_json::to_vec(&Sealed { sha256, state: &state })?;
    let temp = path.with_extension("json.new");
    let mut file = std::fs::File::create(&temp)?;
    file.write_all(&bytes)?;
    std::fs::rename(&temp, path)
}
