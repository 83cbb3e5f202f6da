//! Who may speak: a signature over the bytes as they were sent, fresh, and not heard before.

use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use jiff::Timestamp;
use tidegate_core::protocol::Refusal;
use tidegate_core::webhook::{
    ID_HEADER, ReplayWindow, SIGNATURE_HEADER, Secret, SignedHeaders, TIMESTAMP_HEADER, verify,
};

/// Checks messages before anything reads them.
pub struct Gate {
    secrets: Vec<Secret>,
    seen: Mutex<ReplayWindow>,
}

impl Gate {
    /// For messages that one of these secrets signed.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self { secrets, seen: Mutex::default() }
    }

    /// Lets a message through that changes something: only once.
    pub fn admit(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let now = Timestamp::now();
        let signed = self.verify(headers, body, now)?;
        // After the signature: nobody else can fill the window.
        let new = self.seen.lock().unwrap_or_else(PoisonError::into_inner).admit(&signed.id, now);
        if new { Ok(()) } else { Err(Refusal::Replayed { id: signed.id }) }
    }

    /// Lets a question through. It changes nothing, so asking twice does no harm.
    pub fn admit_question(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.verify(headers, b"", Timestamp::now()).map(drop)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<SignedHeaders, Refusal> {
        let signed = SignedHeaders {
            id: header(headers, ID_HEADER)?,
            timestamp: header(headers, TIMESTAMP_HEADER)?,
            signature: header(headers, SIGNATURE_HEADER)?,
        };
        verify(&self.secrets, &signed, now, body).map(|()| signed)
    }
}

fn header(headers: &HeaderMap, name: &'static str) -> Result<String, Refusal> {
    let value = headers.get(name).and_then(|v| v.to_str().ok());
    value.map(str::to_owned).ok_or_else(|| Refusal::BadSignature { detail: format!("header {name} is missing") })
}
