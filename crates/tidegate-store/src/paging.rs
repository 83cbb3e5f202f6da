//! Reading the history page by page, so that a long one neither fills the memory nor holds up a commit.

use tidegate_core::log::LogEntry;
use tidegate_core::position::Revision;

use crate::{HistoryQuery, StoreError};

/// How many entries are read at once.
pub(crate) const HISTORY_PAGE: usize = 512;

/// The entries that the query asks for, newest first. `page` reads those below a revision, newest first.
pub(crate) async fn history<F>(query: &HistoryQuery, page: impl Fn(Revision) -> F) -> Result<Vec<LogEntry>, StoreError>
where
    F: Future<Output = Result<Vec<LogEntry>, StoreError>>,
{
    let mut found = Vec::new();
    let mut below = Revision(u64::MAX);
    while found.len() < query.limit {
        let entries = page(below).await?;
        let Some(last) = entries.last() else { break };
        below = last.revision;
        let wanted = entries.into_iter().filter(|entry| query.wants(entry));
        found.extend(wanted.take(query.limit - found.len()));
    }
    Ok(found)
}
