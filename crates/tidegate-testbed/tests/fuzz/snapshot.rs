//! The snapshot on disk: damaged, it is refused by its name; never is it read as something that was not written.

use std::path::Path;
use std::sync::Arc;

use tidegate_agent::agent::Content;
use tidegate_agent::snapshot::{SnapshotError, Snapshots};
use tidegate_core::desired::DesiredState;
use tidegate_core::hash::ContentHash;
use tidegate_core::probe::Overlay;
use tidegate_testbed::fuzz::{Target, Verdict};
use tidegate_testbed::run::{Scratch, current};

use crate::states;

const FILE: &str = "last-known-good.json";

pub fn target() -> Target {
    let scratch = current().unwrap().scratch("snapshot").unwrap();
    let written =
        [states::rich(), states::plain()].map(|state| [without_probes(state.clone()), with_one_out(state)]).concat();
    let snapshots = Snapshots::new(scratch.path().to_owned());
    let seal = |content: &Content| {
        snapshots.promote(content).unwrap();
        std::fs::read(scratch.path().join(FILE)).unwrap()
    };
    let sealed: Vec<Vec<u8>> = written.iter().map(seal).collect();
    let bare: Vec<Vec<u8>> = written.iter().map(|c| serde_json::to_vec(c.desired.as_ref()).unwrap()).collect();
    let check = move |input: &[u8]| check(&scratch, &written, input);
    Target { name: "snapshot", corpus: [sealed, bare].concat(), dictionary: states::WORDS, check: Box::new(check) }
}

fn without_probes(state: DesiredState) -> Content {
    Content::new(Arc::new(state), Arc::default())
}

/// The first backend of the first listener does not answer.
fn with_one_out(state: DesiredState) -> Content {
    let mut overlay = Overlay::default();
    if let Some((name, backend)) = state.pools.iter().find_map(|(name, pool)| Some((name, pool.first()?))) {
        overlay.take_out(name.clone(), backend.address);
    }
    Content::new(Arc::new(state), Arc::new(overlay))
}

/// As a snapshot of its own, and as the state in one whose seal is right: few mutations get behind a SHA-256.
fn check(scratch: &Scratch, written: &[Content], input: &[u8]) -> Verdict {
    let as_it_is = read(scratch.path(), input);
    if let Ok(state) = &as_it_is {
        assert!(written.iter().any(|known| same(known, state)), "a snapshot that nobody wrote was read: {state:?}");
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
        let again = snapshots.last_known_good().unwrap().expect("it was just written");
        assert!(same(&again, state), "it is written as something else");
    }
    Verdict::of(&resealed)
}

fn same(one: &Content, other: &Content) -> bool {
    (&one.desired, &one.overlay) == (&other.desired, &other.overlay)
}

fn read(dir: &Path, bytes: &[u8]) -> Result<Content, SnapshotError> {
    std::fs::write(dir.join(FILE), bytes).unwrap();
    let read = Snapshots::new(dir.to_owned()).last_known_good();
    if let Err(error) = &read {
        let path = dir.join(FILE);
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "it does not name the file: {error}");
    }
    read.map(|state| state.expect("the file is there"))
}
