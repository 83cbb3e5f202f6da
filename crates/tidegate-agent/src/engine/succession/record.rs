//! Which engine serves here, and which one served before, on the disk.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::settings::EngineSettings;

/// A note that cannot be read or written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is there but cannot be read.
    #[error("{source}; cure: check the owner and mode of agent.stateDir")]
    Read {
        /// Why, with the file's name.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(
        "{}, which says what engine served here, is damaged ({detail}); cure: end that engine by hand if it still runs, and delete the file", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// It cannot be written.
    #[error("{source}; cure: free space on that filesystem and check its owner and mode")]
    Write {
        /// Why, with the file's name.
        source: io::Error,
    },
}

impl RecordError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Read { .. } | Self::Write { .. } => ErrorClass::Transient,
            Self::Damaged { .. } => ErrorClass::Permanent,
        }
    }
}

/// The two notes in a state directory.
#[derive(Clone, Debug)]
pub(super) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The engine that this agent has driven last; nothing before the first.
    pub(super) fn driven(&self) -> Result<Option<EngineSettings>, RecordError> {
        read(&self.driven_path())
    }

    /// A former one that still had connections.
    pub(super) fn lingering(&self) -> Result<Option<EngineSettings>, RecordError> {
        read(&self.lingering_path())
    }

    /// From now on this one is driven.
    pub(super) fn drive(&self, settings: &EngineSettings) -> Result<(), RecordError> {
        write(&self.driven_path(), settings)
    }

    /// This one has connections that somebody waits for.
    pub(super) fn lingers(&self, settings: &EngineSettings) -> Result<(), RecordError> {
        write(&self.lingering_path(), settings)
    }

    /// Nobody is waited for any more.
    pub(super) fn gone(&self) {
        drop(fs_err::remove_file(self.lingering_path()));
    }

    fn driven_path(&self) -> PathBuf {
        self.dir.join("engine.json")
    }

    fn lingering_path(&self) -> PathBuf {
        self.dir.join("former-engine.json")
    }
}

fn read(path: &Path) -> Result<Option<EngineSettings>, RecordError> {
    let bytes = match fs_err::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Read { source }),
    };
    let damaged = |error: serde_json::Error| RecordError::Damaged { path: path.to_owned(), detail: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Whole or not at all: beside it, then renamed.
fn write(path: &Path, settings: &EngineSettings) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { source };
    let text = serde_json::to_vec_pretty(settings).map_err(|error| failed(error.into()))?;
    if fs_err::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let beside = path.with_extension("json.new");
    fs_err::write(&beside, text).and_then(|()| fs_err::rename(&beside, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use crate::settings::{HaproxySettings, NftablesSettings, NginxSettings};

    use super::*;

    #[test]
    fn what_is_noted_is_read_and_damage_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::in_dir(dir.path());
        assert!(records.driven().unwrap().is_none() && records.lingering().unwrap().is_none());
        for settings in [
            EngineSettings::Nginx(NginxSettings::new("/etc/tidegate/nginx.conf")),
            EngineSettings::Haproxy(HaproxySettings::new("/etc/tidegate/haproxy.cfg")),
            EngineSettings::Nftables(NftablesSettings::new("/etc/tidegate/t.nft")),
        ] {
            records.drive(&settings).unwrap();
            records.lingers(&settings).unwrap();
            assert_eq!(
                (records.driven().unwrap(), records.lingering().unwrap()),
                (Some(settings.clone()), Some(settings))
            );
        }
        records.gone();
        assert!(records.lingering().unwrap().is_none());
        std::fs::write(dir.path().join("engine.json"), "{").unwrap();
        let error = records.driven().unwrap_err();
        assert!(error.to_string().contains("engine.json") && error.class() == ErrorClass::Permanent, "{error}");
    }
}
