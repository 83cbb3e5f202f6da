//! The store: can it be opened, and is it the one that was meant?

use std::path::Path;

use rustix::fs::{Access, access};
use tidegate_agent::preflight::Finding;

use crate::config::{ControllerConfig, StoreConfig};
use crate::recorded::{is_missing, open_store};

const ABOUT: &str = "store";

/// Opens it and reads its newest entry. A file that is not there yet is not made.
pub(super) async fn examine(config: &ControllerConfig) -> Finding {
    if let StoreConfig::Sqlite(path) = &config.store
        && is_missing(&config.store)
    {
        return of_new_file(path);
    }
    let store = match open_store(&config.store, &config.cluster, None).await {
        Ok(store) => store,
        Err(error) => return Finding::of_error(ABOUT, &error),
    };
    match store.newest().await {
        Ok(Some(entry)) => {
            let position = entry.position();
            let what = format!("{}, of cluster {}, at {position}", config.store, config.cluster);
            Finding::good(ABOUT, what)
        }
        Ok(None) => Finding::good(ABOUT, format!("{}, where nothing is recorded yet", config.store)),
        Err(error) => Finding::of_error(ABOUT, &error),
    }
}

fn of_new_file(path: &Path) -> Finding {
    let folder = path.parent().unwrap_or(path);
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    if access(existing, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let cure = format!("run as the user that owns it, or: chown the folder {}", existing.display());
        return Finding::failure(ABOUT, format!("{} cannot be made by this user", path.display()), cure);
    }
    Finding::good(ABOUT, format!("SQLite file {}, which will be made", path.display()))
}
