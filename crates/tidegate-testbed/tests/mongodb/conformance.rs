//! MongoDB passes the suite.

use tidegate_store::conformance_suite;

use super::support::MongoDatabase;

conformance_suite!(MongoDatabase::new());
