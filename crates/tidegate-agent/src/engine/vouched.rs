//! What an engine's own checker has passed, so that it need not be asked again.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tidegate_core::hash::ContentHash;

use crate::file::Stamp;

/// Structures that may alternate: what is live, what was tried, what comes back.
const KEPT: usize = 8;

/// Structures of configurations (a text without its backends) that the program passed.
///
/// A backend is an address and a port of Tidegate's own types, always written the same way: a structure that was passed
/// with some backends is as valid with others. It counts for the program that said so: an upgrade is asked again.
#[derive(Debug)]
pub struct Vouched {
    program: PathBuf,
    passed: Mutex<Vec<(Stamp, ContentHash)>>,
}

impl Vouched {
    /// Nothing yet; `program` is the checker.
    pub fn by(program: &Path) -> Self {
        Self { program: program.to_owned(), passed: Mutex::new(Vec::new()) }
    }

    /// Whether the program as it is now passed this structure.
    pub fn covers(&self, structure: ContentHash) -> bool {
        let now = Stamp::of(&self.program);
        self.list().contains(&(now, structure))
    }

    /// Notes that the program passed it.
    pub fn passed(&self, structure: ContentHash) {
        let entry = (Stamp::of(&self.program), structure);
        let mut list = self.list();
        list.retain(|known| *known != entry);
        list.push(entry);
        let surplus = list.len().saturating_sub(KEPT);
        list.drain(..surplus);
    }

    /// Forgets it: a whole check found it wrong after all.
    pub fn revoke(&self, structure: ContentHash) {
        self.list().retain(|(_, known)| *known != structure);
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(Stamp, ContentHash)>> {
        self.passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_counts_for_the_program_that_passed_it() {
        let program = tempfile::NamedTempFile::new().unwrap();
        let vouched = Vouched::by(program.path());
        let [one, other] = [b"one", b"two"].map(|b| ContentHash::of_bytes(b));
        vouched.passed(one);
        assert!(vouched.covers(one) && !vouched.covers(other));
        std::fs::write(program.path(), "another version").unwrap();
        assert!(!vouched.covers(one));
    }

    #[test]
    fn what_was_revoked_or_is_long_ago_is_asked_again() {
        let program = tempfile::NamedTempFile::new().unwrap();
        let vouched = Vouched::by(program.path());
        let structures: Vec<_> = (0..=KEPT).map(|n| ContentHash::of_bytes(&[u8::try_from(n).unwrap()])).collect();
        for structure in &structures {
            vouched.passed(*structure);
        }
        assert!(!vouched.covers(structures[0]) && vouched.covers(structures[1]));
        vouched.revoke(structures[1]);
        assert!(!vouched.covers(structures[1]));
    }
}
