//! Asking a program at its unix socket: one question, one answer.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// 5,000 servers of HAProxy take 0.6 MB; nothing has a reason to send more than this.
const LONGEST: u64 = 32 * 1024 * 1024;

/// Sends a question, closes that direction, and reads the answer to its end.
///
/// An answer that takes longer than `limit`, or is longer than 32 MiB, is an error.
pub async fn ask(socket: &Path, question: &[u8], limit: Duration) -> io::Result<String> {
    let conversation = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(question).await?;
        // HAProxy's master keeps the connection open until this.
        stream.shutdown().await?;
        let mut answer = Vec::new();
        (&mut stream).take(LONGEST + 1).read_to_end(&mut answer).await?;
        if u64::try_from(answer.len()).unwrap_or(u64::MAX) > LONGEST {
            return Err(io::Error::other("the answer does not end"));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match tokio::time::timeout(limit, conversation).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", limit.as_millis()))),
    }
}
