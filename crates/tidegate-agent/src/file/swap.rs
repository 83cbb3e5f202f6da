//! Replacing the live file: temp file in the same directory, fsync, rename, fsync of the directory.
//!
//! At each moment the live path names a complete file. What was there is kept by a second name, so that
//! going back is one rename and needs no space on the disk.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tidegate_core::hash::ContentHash;

use super::{FileError, Found, LiveFile};
use crate::hook::StepHook;

/// A new configuration beside the live file. Dropped without being installed, it is removed.
#[derive(Debug)]
pub struct Candidate {
    file: LiveFile,
    path: PathBuf,
    generation: ContentHash,
    text: String,
}

/// What was at the live path before, and how to bring it back.
#[derive(Debug)]
pub struct Previous {
    file: LiveFile,
    kept: Option<PathBuf>,
    generation: Option<ContentHash>,
}

impl Candidate {
    /// Writes the candidate, a sealed text; the live file is not touched.
    pub fn write(file: &LiveFile, generation: ContentHash, text: String) -> Result<Self, FileError> {
        let candidate = Self { path: file.beside("candidate"), file: file.clone(), generation, text };
        candidate.write_text().map_err(|source| FileError::WriteCandidate { path: file.path().to_owned(), source })?;
        Ok(candidate)
    }

    fn write_text(&self) -> io::Result<()> {
        remove_if_there(&self.path)?;
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.path)?;
        if let Ok(live) = std::fs::metadata(self.file.path()) {
            out.set_permissions(std::fs::Permissions::from_mode(live.permissions().mode() & 0o7777))?;
        }
        out.write_all(self.text.as_bytes())
    }

    /// Where it is, for the engine's checker.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it the live file. After an error the old file is still the live one. Whether the new name outlives a power cut is
    /// [`LiveFile::settle`]'s.
    pub fn install(mut self, hook: &StepHook) -> Result<Previous, FileError> {
        let found = self.file.read()?;
        self.file.check_ours(&found, &self.text)?;
        if matches!(found, Found::Edited(_) | Found::Foreign(_)) {
            self.back_up()?;
        }
        sync(&self.path)?;
        hook("swap:synced");
        let previous = self.keep(&found)?;
        let live = self.file.path();
        std::fs::rename(&self.path, live).map_err(|source| FileError::Replace { path: live.to_owned(), source })?;
        hook("swap:renamed");
        self.file.remember(self.generation, std::mem::take(&mut self.text));
        Ok(previous)
    }

    /// Gives what is there a second name.
    fn keep(&self, found: &Found) -> Result<Previous, FileError> {
        let generation = match found {
            Found::Ours(generation) => Some(*generation),
            _ => None,
        };
        let mut previous = Previous { file: self.file.clone(), kept: None, generation };
        if *found != Found::Absent {
            let kept = self.file.beside("previous");
            let linked = remove_if_there(&kept).and_then(|()| link_or_copy(self.file.path(), &kept));
            linked.map_err(|source| FileError::Keep { path: self.file.path().to_owned(), source })?;
            previous.kept = Some(kept);
        }
        Ok(previous)
    }

    /// Keeps a file that is taken over, for good.
    fn back_up(&self) -> Result<(), FileError> {
        let live = self.file.path();
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut name = live.file_name().unwrap_or_default().to_owned();
        name.push(format!(".before-tidegate-{stamp}"));
        let backup = live.with_file_name(name);
        std::fs::copy(live, &backup).map_err(|source| FileError::Keep { path: live.to_owned(), source })?;
        tracing::warn!(file = %live.display(), backup = %backup.display(), "took over a file that was not ours");
        Ok(())
    }
}

impl LiveFile {
    /// Brings the name of the live file to the disk.
    pub fn settle(&self) -> Result<(), FileError> {
        sync(directory(self.path()))
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // Gone already once it was renamed; `LiveFile::sweep` takes care of what a killed process leaves.
        drop(std::fs::remove_file(&self.path));
    }
}

impl Previous {
    /// What the engine answers when it serves what was there; absent when that was nothing of ours.
    pub const fn generation(&self) -> Option<ContentHash> {
        self.generation
    }

    /// Brings it back.
    pub fn restore(&self) -> Result<(), FileError> {
        let live = self.file.path();
        let restored = match &self.kept {
            Some(kept) => std::fs::rename(kept, live),
            None => remove_if_there(live),
        };
        restored.map_err(|source| FileError::Replace { path: live.to_owned(), source })?;
        self.file.settle()
    }

    /// Lets it go.
    pub fn forget(self) {
        if let Some(Err(error)) = self.kept.map(|kept| remove_if_there(&kept)) {
            tracing::warn!(%error, file = %self.file.path().display(), "cannot remove the copy of the previous file");
        }
    }
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    // Not every filesystem has hard links.
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), FileError> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| FileError::Sync { path: path.to_owned(), source })
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
