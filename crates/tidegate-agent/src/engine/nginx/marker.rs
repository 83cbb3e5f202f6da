//! Asking a worker which generation it serves.

use std::path::Path;
use std::time::Duration;

use tidegate_core::hash::ContentHash;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// A worker answers within a millisecond; one that does not is busy or gone, and is asked again.
const LIMIT: Duration = Duration::from_millis(500);

/// What the worker that takes the connection serves; nothing when none does.
pub async fn ask(socket: &Path) -> Option<ContentHash> {
    let answer = async {
        let mut stream = UnixStream::connect(socket).await.ok()?;
        let mut text = String::new();
        (&mut stream).take(128).read_to_string(&mut text).await.ok()?;
        ContentHash::parse(text.trim()).ok()
    };
    tokio::time::timeout(LIMIT, answer).await.ok().flatten()
}
