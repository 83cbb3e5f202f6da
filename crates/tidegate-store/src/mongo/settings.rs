//! Where the database is and how long it may take. The URI holds a password: no message ever shows it.

use std::fmt;
use std::time::Duration;

use mongodb::options::{ConnectionString, HostInfo};
use tidegate_core::ids::ClusterName;

use crate::StoreError;

/// How long each step may take before the operation has failed for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MongoTimeouts {
    /// To find a server that takes writes: an election of a replica set takes a few seconds.
    pub selection: Duration,
    /// To open a connection.
    pub connect: Duration,
    /// For a whole operation; longer than `selection`, which says more about what is wrong.
    pub operation: Duration,
}

impl Default for MongoTimeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { selection: seconds(5), connect: seconds(5), operation: seconds(9) }
    }
}

/// What is needed to use a database.
#[derive(Clone)]
pub struct MongoSettings {
    /// `mongodb://` or `mongodb+srv://`, with user, password and TLS options. Secret.
    pub uri: String,
    /// Where the URI comes from, for messages: the path of its file.
    pub origin: String,
    /// The database's name.
    pub database: String,
    /// Whose log it is.
    pub cluster: ClusterName,
    /// How patient to be.
    pub timeouts: MongoTimeouts,
}

impl fmt::Debug for MongoSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri: _, origin, database, cluster, timeouts } = self;
        f.debug_struct("MongoSettings")
            .field("origin", origin)
            .field("database", database)
            .field("cluster", cluster)
            .field("timeouts", timeouts)
            .finish_non_exhaustive()
    }
}

impl MongoSettings {
    /// The URI, checked without asking any server, not even for a name.
    pub(super) fn parse(&self) -> Result<ConnectionString, StoreError> {
        ConnectionString::parse(self.uri.trim()).map_err(|error| self.refuse(&self.complaint(&error)))
    }

    fn refuse(&self, detail: &str) -> StoreError {
        let cure = "write one line like mongodb://USER:PASSWORD@HOST:27017/?replicaSet=NAME&tls=true into that file, with \
                    every character of USER and PASSWORD that is no letter or digit percent-encoded";
        StoreError::Refused {
            place: format!("the MongoDB URI in {}", self.origin),
            detail: detail.to_owned(),
            cure: cure.to_owned(),
        }
    }

    /// What is wrong with the URI, without a word of it that could be secret.
    fn complaint(&self, error: &mongodb::error::Error) -> String {
        if !self.uri.contains('@') && !self.uri.to_lowercase().contains("password") {
            return plain(error);
        }
        match without_credentials(self.uri.trim()).map(ConnectionString::parse) {
            Some(Ok(_)) => "its user name or password is not percent-encoded".to_owned(),
            Some(Err(_)) | None => "it is not a MongoDB URI (not shown here, as it holds a password)".to_owned(),
        }
    }
}

/// The driver's words without its wrapping.
fn plain(error: &mongodb::error::Error) -> String {
    error.kind.to_string()
}

/// The URI without user and password, wherever an unencoded `@` or `/` in them may have put their end.
fn without_credentials(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let (_, hosts) = rest.rsplit_once('@')?;
    Some(format!("{scheme}://{hosts}"))
}

/// The servers by name, which are no secret.
pub(super) fn hosts(uri: &ConnectionString) -> String {
    match &uri.host_info {
        HostInfo::HostIdentifiers(hosts) => hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        HostInfo::DnsRecord(name) => name.clone(),
        _ => "unknown hosts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::class::ErrorClass;

    use super::*;

    fn settings(uri: &str) -> MongoSettings {
        MongoSettings {
            uri: uri.to_owned(),
            origin: "/etc/tidegate/mongodb.uri".to_owned(),
            database: "tidegate".to_owned(),
            cluster: ClusterName::parse("prod").unwrap(),
            timeouts: MongoTimeouts::default(),
        }
    }

    #[test]
    fn a_malformed_uri_names_its_file_and_its_cure_and_never_the_password() {
        for uri in [
            "",
            "postgres://tg:s3cret@db/",
            "mongodb://tg:s3cret@",
            "mongodb://tg:s3cr@et@db:27017",
            "mongodb://tg:s3cret/more@db:27017",
            "mongodb://tg:s3cret@db:port",
            "mongodb://tg:s3cret@db:27017/?tls=perhaps",
            "mongodb://s3cret%zz:x@db:27017",
            "mongodb+srv://tg:s3cret@db:27017/",
            "mongodb://db/?tlsCertificateKeyFilePassword=s3cret&tls=perhaps",
        ] {
            let error = settings(uri).parse().unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("s3c") && !text.contains("tg:"), "{uri}: {text}");
            assert!(text.contains("/etc/tidegate/mongodb.uri") && text.contains("cure: "), "{text}");
            assert_eq!(error.class(), ErrorClass::Permanent);
        }
        let error = settings("mongodb://db:port").parse().unwrap_err().to_string();
        assert!(error.contains("port"), "without a password the driver may say what it dislikes: {error}");
    }

    #[test]
    fn settings_are_shown_without_the_uri_and_hosts_without_the_password() {
        let settings = settings("mongodb://tg:s3cret@db1:27017,db2:27018/?replicaSet=rs\n");
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert_eq!(hosts(&settings.parse().unwrap()), "db1:27017,db2:27018");
    }
}
