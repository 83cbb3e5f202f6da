//! The last-known-good state on disk, and the candidate that is about to replace it.
//!
//! `candidate.json` is written before an apply touches anything and becomes `last-known-good.json` once
//! it is verified. So after a kill at any point the agent knows which state the live file stands for, and
//! which position it has admitted.

mod note;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::hash::ContentHash;
use tidegate_core::probe::Overlay;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::agent::Content;
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
    state: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aside: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened<'a> {
    sha256: ContentHash,
    #[serde(borrow)]
    state: &'a RawValue,
    /// Backends that did not answer: a restart must not send them traffic again before they do.
    #[serde(default, borrow)]
    out: Option<&'a RawValue>,
    /// Backends that were set aside for their zone.
    #[serde(default, borrow)]
    aside: Option<&'a RawValue>,
}

/// Of everything that matters; the same as in earlier versions when nobody is out or aside.
fn digest(state: &RawValue, out: Option<&RawValue>, aside: Option<&RawValue>) -> ContentHash {
    match (out, aside) {
        (None, None) => ContentHash::of_bytes(state.get().as_bytes()),
        (Some(out), None) => ContentHash::of_bytes(format!("{}\n{}", state.get(), out.get()).as_bytes()),
        (out, Some(aside)) => {
            let out = out.map_or("", RawValue::get);
            ContentHash::of_bytes(format!("{}\n{out}\n{}", state.get(), aside.get()).as_bytes())
        }
    }
}

impl Snapshots {
    /// Of this directory.
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The state that was last verified; nothing before the first.
    pub fn last_known_good(&self) -> Result<Option<Content>, SnapshotError> {
        read(&self.good_path())
    }

    /// The state of the newest apply, if it was not verified.
    pub fn candidate(&self) -> Result<Option<Content>, SnapshotError> {
        read(&self.candidate_path())
    }

    /// Notes what is about to be applied. Not synced: after a power cut the last verified state is the better one.
    pub fn note_candidate(&self, content: &Content) -> Result<(), SnapshotError> {
        let path = self.candidate_path();
        write(&path, content).map_err(|source| SnapshotError::Write { path, source })
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
    pub fn promote(&self, content: &Content) -> Result<(), SnapshotError> {
        self.note_candidate(content)?;
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

fn read(path: &Path) -> Result<Option<Content>, SnapshotError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SnapshotError::Read { path: path.to_owned(), source }),
    };
    parse(&bytes).map(Some).map_err(|detail| SnapshotError::Damaged { path: path.to_owned(), detail })
}

fn parse(bytes: &[u8]) -> Result<Content, String> {
    let Opened { sha256, state, out, aside } = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if digest(state, out, aside) != sha256 {
        return Err("its SHA-256 does not match".to_owned());
    }
    let desired: DesiredState = serde_json::from_str(state.get()).map_err(|e| e.to_string())?;
    let overlay = |raw: Option<&RawValue>| match raw {
        Some(raw) => serde_json::from_str(raw.get()).map(Arc::new).map_err(|e| e.to_string()),
        None => Ok(Arc::default()),
    };
    Ok(Content::with_aside(Arc::new(desired), overlay(out)?, overlay(aside)?))
}

fn write(path: &Path, content: &Content) -> io::Result<()> {
    let state = to_raw_value(content.desired.as_ref())?;
    let raw = |overlay: &Overlay| (!overlay.is_empty()).then(|| to_raw_value(overlay)).transpose();
    let (out, aside) = (raw(&content.overlay)?, raw(&content.aside)?);
    let (out, aside) = (out.as_deref(), aside.as_deref());
    let sealed = Sealed { sha256: digest(&state, out, aside), state: &state, out, aside };
    let bytes = serde_json::to_vec(&sealed)?;
    let temp = path.with_extension("json.new");
    let mut file = std::fs::File::create(&temp)?;
    file.write_all(&bytes)?;
    std::fs::rename(&temp, path)
}
