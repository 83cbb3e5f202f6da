//! Where decisions are recorded.

use std::path::PathBuf;

use super::{Validator, value_or};
use crate::config::kubernetes::DatabaseName;
use crate::config::raw::{RawMongodb, RawSqlite};
use crate::config::{MongodbConfig, Role, StoreConfig, defaults};

impl Validator<'_> {
    /// The one backend; none when something is wrong.
    pub(super) fn store(&mut self, role: Role) -> Option<StoreConfig> {
        let example = format!("store: {{ sqlite: {{ path: {} }} }}", defaults::SQLITE_PATH);
        let store = self.need(self.raw.store.as_ref(), "store", role, &example)?;
        match (&store.sqlite, &store.mongodb) {
            (Some(sqlite), None) => Some(self.sqlite(sqlite)),
            (None, Some(mongodb)) => self.mongodb(mongodb),
            (Some(_), Some(second)) => {
                let cure = "keep one; `tidegate store migrate` copies what is recorded from one to the other";
                self.problems.error(&second.spot, "a second backend: decisions are recorded in one place", cure);
                None
            }
            (None, None) => {
                if !self.problems.mentions("store") {
                    self.problems.error(&store.spot, "no backend is chosen", format!("write `{example}`"));
                }
                None
            }
        }
    }

    fn sqlite(&self, sqlite: &RawSqlite) -> StoreConfig {
        let path = sqlite.path.as_ref().map(|file| self.path(file));
        StoreConfig::Sqlite(path.unwrap_or_else(|| PathBuf::from(defaults::SQLITE_PATH)))
    }

    fn mongodb(&self, mongodb: &RawMongodb) -> Option<StoreConfig> {
        let uri_file = self.path(mongodb.uri_file.as_ref()?);
        let DatabaseName(database) = value_or(mongodb.database.as_ref(), DatabaseName(defaults::DATABASE.to_owned()));
        Some(StoreConfig::Mongodb(MongodbConfig { uri_file, database }))
    }
}
