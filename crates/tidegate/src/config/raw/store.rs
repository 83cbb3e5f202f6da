//! Where decisions are recorded, as it is written.

use std::path::PathBuf;

use crate::config::defaults;
use crate::config::kubernetes::DatabaseName;
use crate::config::read::section;
use crate::config::text::Text;

section! {
    /// Exactly one backend.
    pub struct RawStore;
    required {}
    optional {
        /// An SQLite file on this machine.
        sqlite: RawSqlite,
        /// A MongoDB that several controllers share.
        mongodb: RawMongodb,
    }
    later {}
}

section! {
    /// An SQLite file.
    pub struct RawSqlite;
    required {}
    optional {
        /// The file; on a local disk, not on NFS.
        #[schemars(extend("default" = defaults::SQLITE_PATH))]
        path: Text<PathBuf>,
    }
    later {}
}

section! {
    /// A MongoDB (4.4 or later), or a server that speaks its protocol: what replicas of the controller need.
    pub struct RawMongodb;
    required {
        /// File with one line, the connection string: `mongodb://USER:PASSWORD@HOST:27017/?tls=true`, or `mongodb+srv://`.
        /// It holds a password: only the user that tidegate runs as should be able to read it. It is read at the start.
        #[schemars(extend("examples" = ["/etc/tidegate/mongodb.uri"]))]
        uri_file: Text<PathBuf> = "uriFile: /etc/tidegate/mongodb.uri",
    }
    optional {
        /// The database; several clusters may share one.
        #[schemars(extend("default" = defaults::DATABASE))]
        database: Text<DatabaseName>,
    }
    later {}
}
