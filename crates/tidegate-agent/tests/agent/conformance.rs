//! What every engine must do, on its real program: one suite, a few lines for each engine.
//!
//! An engine that passes keeps its promises to the pipeline: what it says it serves is what answers, a failure leaves
//! what was live, and no planned change loses a request.

mod crash;
mod custom;
mod haproxy;
mod life;
pub mod nftables;
pub mod nginx;
mod sabotage;
mod site;
mod sweep;

/// The suite for one engine.
macro_rules! conformance {
    ($engine:ident, $subject:ty) => {
        mod $engine {
            use crate::conformance::{crash, life, sweep};

            #[tokio::test]
            async fn planned_changes_lose_nothing() {
                life::planned_changes_lose_nothing::<$subject>().await;
            }

            #[tokio::test]
            async fn a_draining_backend_keeps_its_connections_and_gets_no_new_one() {
                life::a_draining_backend_keeps_its_connections::<$subject>().await;
            }

            #[tokio::test]
            async fn the_engine_outlives_the_agent() {
                life::the_engine_outlives_the_agent::<$subject>().await;
            }

            #[tokio::test]
            async fn a_killed_engine_comes_back() {
                life::a_killed_engine_comes_back::<$subject>().await;
            }

            #[tokio::test]
            async fn a_foreign_change_is_found_and_undone() {
                life::a_foreign_change_is_found_and_undone::<$subject>().await;
            }

            #[tokio::test]
            async fn a_refused_configuration_leaves_what_was_live() {
                life::a_refused_configuration_leaves_what_was_live::<$subject>().await;
            }

            #[tokio::test]
            async fn whatever_fails_the_answer_is_true() {
                sweep::whatever_fails_the_answer_is_true::<$subject>().await;
            }

            /// The process that dies; as a test of its own it has nothing to do.
            #[tokio::test]
            async fn child() {
                crash::child::<$subject>().await;
            }

            #[tokio::test]
            async fn a_kill_at_any_point_leaves_a_whole_file() {
                crash::a_kill_at_any_point_leaves_a_whole_file::<$subject>(concat!(
                    "conformance::suite::",
                    stringify!($engine),
                    "::child"
                ))
                .await;
            }
        }
    };
}

mod suite {
    conformance!(nginx, crate::conformance::nginx::Nginx);
    conformance!(haproxy, crate::conformance::haproxy::Haproxy);
    conformance!(nftables, crate::conformance::nftables::Nftables);
    conformance!(custom, crate::conformance::custom::Custom);
}
