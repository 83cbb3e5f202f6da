//! What can go wrong with the configuration file.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

/// A failed operation on the configuration file. The live file is whole after each of them.
#[derive(Debug, Error)]
pub enum FileError {
    /// The live file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The candidate cannot be written beside the live file.
    #[error("writing the candidate beside {}: {source}", path.display())]
    WriteCandidate {
        /// The live file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The candidate or its directory cannot be brought to the disk.
    #[error("syncing {} to the disk: {source}", path.display())]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file that is to be replaced cannot be kept for going back.
    #[error("keeping a copy of {}: {source}", path.display())]
    Keep {
        /// The live file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The candidate cannot take the place of the live file, or the kept file its old place.
    #[error("replacing {}: {source}", path.display())]
    Replace {
        /// The live file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Tidegate did not write the live file.
    #[error("{} was not written by tidegate; what would change:\n{diff}", path.display())]
    Foreign {
        /// The live file.
        path: PathBuf,
        /// From the live file to the candidate.
        diff: String,
    },
    /// Somebody changed the live file since Tidegate wrote it.
    #[error("{} was edited since tidegate wrote it; what would change:\n{diff}", path.display())]
    Edited {
        /// The live file.
        path: PathBuf,
        /// From the live file to the candidate.
        diff: String,
    },
}

impl FileError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self.source().map(io::Error::kind) {
            // Somebody has to change an owner, a mode, a path or the file itself.
            None | Some(ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::IsADirectory) => {
                ErrorClass::Permanent
            }
            Some(_) => ErrorClass::Transient,
        }
    }

    /// What a person can do.
    pub fn cure(&self) -> String {
        let Some(source) = self.source() else {
            return "start tidegate with --take-over: it keeps a copy beside the file and replaces it".to_owned();
        };
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "free space on that filesystem (df -h); tidegate tries again by itself"
            }
            ErrorKind::ReadOnlyFilesystem => {
                "mount that filesystem writable (mount -o remount,rw); tidegate tries again by itself"
            }
            ErrorKind::PermissionDenied => {
                "give tidegate's user write access to the file and its directory, then push again"
            }
            ErrorKind::NotFound => "create its directory, or correct the path below agent.engine",
            _ => "check the filesystem and the kernel log (dmesg)",
        }
        .to_owned()
    }

    /// As the failure of the step that replaces the file.
    pub fn into_failure(self) -> Failure {
        Failure { step: Step::Swap, class: self.class(), message: self.to_string(), cure: self.cure() }
    }

    fn source(&self) -> Option<&io::Error> {
        match self {
            Self::Read { source, .. }
            | Self::WriteCandidate { source, .. }
            | Self::Sync { source, .. }
            | Self::Keep { source, .. }
            | Self::Replace { source, .. } => Some(source),
            Self::Foreign { .. } | Self::Edited { .. } => None,
        }
    }
}
