//! One suite that every backend passes: what a caller of [`Store`] may rely on, case by case.
//!
//! A backend's tests implement [`Database`] and call [`conformance_suite!`](crate::conformance_suite), which makes one
//! test of each case, so that a failure names the case.
#![allow(clippy::missing_panics_doc, reason = "cases assert: that is how they fail")]

pub mod clusters;
pub mod commits;
pub mod elections;
pub mod history;
pub mod loading;
pub mod moves;
pub mod nodes;
pub mod pruning;
pub mod scenario;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::ids::ClusterName;

use crate::{StoreError, Transfer};

/// A database of one backend that is empty at first and goes when this is dropped.
#[async_trait]
pub trait Database: Send + Sync {
    /// One more handle, which shares nothing but the database with the others: as another process would have it.
    async fn open(&self, cluster: &ClusterName) -> Result<Arc<dyn Transfer>, StoreError>;
}

/// A case fails by an assertion, or by an error that it did not expect.
pub type Outcome = Result<(), StoreError>;

/// A case that has been started on a database.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// No case takes longer than this on a healthy backend: whatever does hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs one case on an empty database.
pub fn run(database: &dyn Database, case: impl for<'a> FnOnce(&'a dyn Database) -> Running<'a>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let outcome = runtime.block_on(async { tokio::time::timeout(DEADLINE, case(database)).await });
    assert!(matches!(outcome, Ok(Ok(()))), "the case ended with {outcome:?}");
}

/// A handle on the cluster that most cases use.
pub async fn open(database: &dyn Database) -> Result<Arc<dyn Transfer>, StoreError> {
    database.open(&cluster("prod")).await
}

/// A cluster's name.
pub fn cluster(name: &str) -> ClusterName {
    ClusterName::parse(name).expect("a cluster name of the suite")
}

/// Makes a test of every case of the suite. The argument is an expression that makes an empty [`Database`].
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr) => {
        $crate::conformance_suite! { $fresh;
            commits::an_empty_store_is_the_empty_state
            commits::an_entry_is_read_back_as_it_was_written
            commits::one_of_many_racers_wins_each_revision
            commits::a_commit_that_is_repeated_succeeds
            commits::a_commit_whose_caller_gave_up_can_be_repeated
            commits::other_content_is_a_conflict
            commits::a_gap_is_refused
            elections::an_election_fences_the_older_term
            elections::a_fenced_leader_cannot_go_on_after_reading_the_log_again
            elections::one_of_many_candidates_wins_a_term
            loading::loading_equals_replaying_from_zero
            loading::closing_and_opening_changes_nothing
            loading::a_snapshot_may_be_written_again_and_out_of_order
            loading::a_snapshot_that_the_log_denies_is_refused
            loading::readers_see_whole_revisions
            history::the_newest_entries_come_first_up_to_the_limit
            history::a_node_is_found_however_long_ago
            pruning::without_a_snapshot_nothing_is_forgotten
            pruning::what_follows_the_newest_snapshot_stays
            pruning::whichever_limit_keeps_more_decides
            pruning::a_pruned_log_goes_on
            nodes::following_the_log_leaves_nothing_to_repair
            nodes::writing_twice_is_writing_once
            nodes::a_repair_tells_what_it_puts_right
            nodes::many_documents_are_written_at_once
            clusters::two_clusters_do_not_see_each_other
            clusters::a_name_belongs_to_the_first_who_claims_it
            clusters::one_of_many_claims_wins
            moves::a_moved_log_is_the_same_log
            moves::a_log_whose_start_was_forgotten_is_moved_too
            moves::a_log_is_not_written_over
            moves::an_interrupted_move_cannot_be_used_and_starts_afresh
        }
    };
    ($fresh:expr; $($group:ident :: $case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run(&$fresh, |database| Box::pin($crate::conformance::$group::$case(database)));
            }
        )*
    };
}
