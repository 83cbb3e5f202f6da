//! The snapshot on disk: damaged, it is refused by its name; never is it read as something that was not written.

use std::path::Path;

use tidegate_agent::snapshot::{SnapshotError, Snapshots};
use tidegate_core::desired::DesiredState;
use tidegate_core::hash::ContentHash;
use tidegate_testbed::fuzz::{Target, Verdict};
use tidegate_testbed::run::{Scratch, current};

use crate::states;

const FILE: &str = "last-known-good.json";

pub fn target() -> Target {
    let scratch = current().unwrap().scratch("snapshot").unwrap();
    let written = [states::rich(), states::plain()];
    let snapshots = Snapshots::new(scratch.path().to_owned());
    let sealed = written.clone().map(|state| {
        snapshots.promote(&state).unwrap();
        std::fs::read(scratch.path().join(FILE)).unwrap()
    });
    let bare = written.clone().map(|state| serde_json::to_vec(&state).unwrap());
    let check = move |input: &[u8]| check(&scratch, &written, input);
    Target { name: "snapshot", corpus: [sealed, bare].concat(), dictionary: states::WORDS, check: Box::new(check) }
}

/// As a snapshot of its own, and as the state in one whose seal is right: few mutations get behind a SHA-256.
fn check(scratch: &Scratch, written: &[DesiredState], input: &[u8]) -> Verdict {
    let as_it_is = read(scratch.path(), input);
    if let Ok(state) = &as_it_is {
        assert!(written.contains(state), "a snapshot that nobody wrote was read: {state:?}");
        return Verdict::Accepted;
    }
    if serde_json::from_slice::<serde_json::Value>(input).is_err() {
        return Verdict::of(&as_it_is);
    }
    let trimmed = input.trim_ascii();
    let begin = format!("{{\"sha256\":\"{}\",\"state\":", ContentHash::of_bytes(trimmed));
    let resealed = read(scratch.path(), &[begin.as_bytes(), trimmed, b"}"].concat());
    if let Ok(state) = &resealed {
        let snapshots = Snapshots::new(scratch.path().to_owned());
        snapshots.promote(state).unwrap();
        assert_eq!(snapshots.last_known_good().unwrap().as_ref(), Some(state), "it is written as something else");
    }
    Verdict::of(&resealed)
}

fn read(dir: &Path, bytes: &[u8]) -> Result<DesiredState, SnapshotError> {
    std::fs::write(dir.join(FILE), bytes).unwrap();
    let read = Snapshots::new(dir.to_owned()).last_known_good();
    if let Err(error) = &read {
        let path = dir.join(FILE);
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "it does not name the file: {error}");
    }
    read.map(|state| state.expect("the file is there"))
}
