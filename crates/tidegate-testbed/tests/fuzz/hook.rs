//! A webhook's body: what was admitted is what was sent, to the last byte of its content.

use std::io::Write;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use tidegate_agent::webhook::body;
use tidegate_core::desired::DesiredState;
use tidegate_core::webhook::{Admission, Admitted};
use tidegate_testbed::fuzz::{Target, Verdict};

use crate::states;

const LIMIT: u64 = 64 * 1024;

pub fn target() -> Target {
    let bodies = [states::rich(), states::plain()].map(|state| serde_json::to_vec(&state).unwrap());
    // A body that is small until it is unpacked.
    let bomb = packed(&vec![b' '; 1 << 20], Compression::best());
    // Few mutations of a packed body keep its checksum.
    let packed = packed(&bodies[0], Compression::none());
    let corpus = bodies.into_iter().chain([packed, bomb]).collect();
    Target { name: "hook", corpus, dictionary: states::WORDS, check: Box::new(check) }
}

fn packed(body: &[u8], compression: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), compression);
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn check(input: &[u8]) -> Verdict {
    let mut headers = HeaderMap::new();
    if input.starts_with(&[0x1F, 0x8B]) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let body = match body::decode(&headers, Bytes::copy_from_slice(input), LIMIT) {
        Ok(body) => body,
        Err(refusal) => return Verdict::Refused(refusal.to_string()),
    };
    assert!(headers.is_empty() || u64::try_from(body.len()).unwrap() <= LIMIT, "{} bytes were unpacked", body.len());
    match serde_json::from_slice(&body) {
        Ok(state) => read(&state),
        Err(error) => Verdict::Refused(error.to_string()),
    }
}

fn read(state: &DesiredState) -> Verdict {
    let again: DesiredState =
        serde_json::from_slice(&serde_json::to_vec(state).unwrap()).expect("what was written is read");
    assert_eq!((&again, again.content_hash()), (state, state.content_hash()), "it is written as something else");
    if Admission::new(None).admit(state).is_ok() {
        assert_eq!(state.hash, state.content_hash(), "content that is not what was signed");
    }
    // Few mutations keep the hash right: what lies behind it is seen with a right one.
    let state = DesiredState { hash: state.content_hash(), ..again };
    let mut admission = Admission::new(None);
    if let Err(refusal) = admission.admit(&state) {
        return Verdict::Refused(refusal.to_string());
    }
    for listener in state.listeners.iter().filter(|listener| !listener.allow_empty) {
        let pool = state.pools.get(&listener.name).expect("a pool for each listener");
        assert!(pool.iter().any(tidegate_core::desired::Backend::is_active), "{} would be empty", listener.name);
    }
    assert_eq!((admission.admit(&state), admission.newest()), (Ok(Admitted::Same), Some(state.position)));
    Verdict::Accepted
}
