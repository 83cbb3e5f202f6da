//! What the driver's and the server's errors mean to a person: which server, what is wrong, what to do.

use std::fmt::Display;

use mongodb::error::{Error, ErrorKind, WriteFailure};
use tidegate_core::ids::ClusterName;

use crate::StoreError;

/// The unique key is taken.
const DUPLICATE: [i32; 2] = [11000, 11001];
/// This server takes no writes at the moment, another one does or will.
const NOT_PRIMARY: [i32; 9] = [10107, 13435, 11602, 189, 91, 11600, 13436, 10058, 64];
/// Who we say we are.
const CREDENTIALS: [i32; 4] = [18, 11, 334, 8000];
/// What we may do.
const RIGHTS: [i32; 2] = [13, 31];

/// Where things are, for messages.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The servers' names.
    pub(super) hosts: String,
    pub(super) database: String,
    pub(super) cluster: ClusterName,
    /// Where the URI comes from.
    pub(super) origin: String,
}

/// Whether an insert found its key taken.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error).is_some_and(|(code, _)| DUPLICATE.contains(&code))
}

impl Place {
    /// As people name it.
    pub(super) fn server(&self) -> String {
        format!("MongoDB database {} at {}", self.database, self.hosts)
    }

    /// The server gave no answer in time: what it did is not known.
    pub(super) fn silent(&self, operation: &'static str, seconds: f32) -> StoreError {
        let detail = format!("{} gave no answer within {seconds} s; {}", self.server(), self.look());
        StoreError::Unavailable { operation, detail }
    }

    /// A document that cannot be read, or that says what cannot be.
    pub(super) fn corrupt(&self, collection: &str, id: impl Display, detail: impl Display) -> StoreError {
        StoreError::Corrupt {
            place: format!("document {id} of collection {collection} in {}", self.server()),
            detail: detail.to_string(),
            cure: "stop tidegate and restore that document from a backup of the database; without a backup, let \
                   tidegate use a database with a new name: it then starts a new log from what the cluster shows"
                .to_owned(),
        }
    }

    /// What an error means. Whatever may pass by itself is transient: another server, a network that comes back.
    pub(super) fn explain(&self, operation: &'static str, error: &Error) -> StoreError {
        let server = self.server();
        let transient = |detail: String| StoreError::Unavailable { operation, detail };
        match (code(error), error.kind.as_ref()) {
            (Some((code, _)), _) if NOT_PRIMARY.contains(&code) => transient(format!(
                "{server} takes no writes at the moment (code {code}); cure: none is needed while it elects a new \
                 primary; if it lasts, see `rs.status()`, and let the URI in {} name the whole replica set",
                self.origin
            )),
            (Some((code, text)), _) if RIGHTS.contains(&code) => self.refuse(
                format!("the user of the URI in {} may not do this: {text}", self.origin),
                format!("give that user the role readWrite on database {}", self.database),
            ),
            (Some((code, _)), _) if CREDENTIALS.contains(&code) => self.wrong_credentials(),
            (_, ErrorKind::Authentication { .. }) => self.wrong_credentials(),
            (_, ErrorKind::InvalidTlsConfig { message, .. }) => self.refuse(
                format!("TLS cannot be set up: {message}"),
                format!("correct the tls options of the URI in {}, and the files that they name", self.origin),
            ),
            (_, ErrorKind::IncompatibleServer { message, .. }) => {
                self.refuse(message.clone(), "use MongoDB 4.4 or newer".to_owned())
            }
            (Some((code, text)), _) => transient(format!("{server}: {text} (code {code})")),
            (_, kind) => transient(format!("{server} cannot be reached: {kind}; {}", self.look())),
        }
    }

    fn wrong_credentials(&self) -> StoreError {
        self.refuse(
            format!("it does not accept the user and password of the URI in {}", self.origin),
            "correct them (percent-encoded), and the authSource and authMechanism options if it uses any".to_owned(),
        )
    }

    fn refuse(&self, detail: String, cure: String) -> StoreError {
        StoreError::Refused { place: self.server(), detail, cure }
    }

    fn look(&self) -> String {
        format!(
            "cure: see whether it runs and can be reached from here; tidegate goes on by itself when it answers; the \
                 address is the URI in {}",
            self.origin
        )
    }
}

/// The server's code and words, if it was the server that failed the operation.
fn code(error: &Error) -> Option<(i32, String)> {
    match error.kind.as_ref() {
        ErrorKind::Command(failed) => Some((failed.code, failed.message.clone())),
        ErrorKind::Write(WriteFailure::WriteError(failed)) => Some((failed.code, failed.message.clone())),
        // It was written, but perhaps not by a majority: that is no answer either.
        ErrorKind::Write(WriteFailure::WriteConcernError(failed)) => Some((failed.code, failed.message.clone())),
        ErrorKind::InsertMany(failed) => {
            let first = failed.write_errors.as_ref().and_then(|errors| errors.first());
            let write = first.map(|failed| (failed.code, failed.message.clone()));
            write.or_else(|| failed.write_concern_error.as_ref().map(|failed| (failed.code, failed.message.clone())))
        }
        _ => None,
    }
}
