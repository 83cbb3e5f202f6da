//! Whether a file was touched since it was last looked at.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes whenever a file does; all zero when it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file at this path, now.
    pub fn of(path: &Path) -> Self {
        let stamp =
            |m: std::fs::Metadata| Self { inode: m.ino(), size: m.size(), changed: (m.ctime(), m.ctime_nsec()) };
        std::fs::metadata(path).map(stamp).unwrap_or_default()
    }
}
