//! Reading a body up to a limit, and decompressing it up to the same limit.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use flate2::read::GzDecoder;
use futures::StreamExt;
use tidegate_core::protocol::Refusal;

/// For the whole body: 8 MiB in 10 s is 7 Mbit/s.
const LIMIT: Duration = Duration::from_secs(10);

/// The bytes as they were sent.
pub async fn read(body: Body, limit: u64) -> Result<Bytes, Refusal> {
    let reading = async {
        let mut bytes = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(|e| malformed(format!("the body broke off: {e}")))?);
            if is_longer(bytes.len(), limit) {
                return Err(Refusal::Oversize { limit });
            }
        }
        Ok(Bytes::from(bytes))
    };
    let late = || malformed(format!("the body did not arrive within {} s", LIMIT.as_secs()));
    tokio::time::timeout(LIMIT, reading).await.unwrap_or_else(|_| Err(late()))
}

/// The bytes as they were meant, by the Content-Encoding header.
pub fn decode(headers: &HeaderMap, sent: Bytes, limit: u64) -> Result<Bytes, Refusal> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(sent),
        Some(b"gzip") => gunzip(&sent, limit),
        Some(other) => {
            let name = String::from_utf8_lossy(other).into_owned();
            Err(malformed(format!("Content-Encoding {name:?} is not known, only gzip is")))
        }
    }
}

fn gunzip(sent: &[u8], limit: u64) -> Result<Bytes, Refusal> {
    let mut bytes = Vec::new();
    let decoder = GzDecoder::new(sent).take(limit.saturating_add(1)).read_to_end(&mut bytes);
    decoder.map_err(|e| malformed(format!("the body is not gzip: {e}")))?;
    if is_longer(bytes.len(), limit) { Err(Refusal::Oversize { limit }) } else { Ok(Bytes::from(bytes)) }
}

fn is_longer(length: usize, limit: u64) -> bool {
    u64::try_from(length).map_or(true, |length| length > limit)
}

fn malformed(detail: String) -> Refusal {
    Refusal::Malformed { detail }
}
