//! What every engine must do, on its real program: one suite, a few lines for each engine.
//!
//! An engine that passes keeps its promises to the pipeline: what it says it serves is what answers, a failure leaves
//! what was live, and no planned change loses a request.

mod crash;
mod custom;
pub mod envoy;
mod faults;
mod features;
pub mod goldens;
pub mod haproxy;
mod interposed;
mod kernel_scripts;
mod life;
pub mod nftables;
pub mod nginx;
mod sabotage;
mod side_by_side;
pub mod site;
mod sweep;
mod weights;
mod zones;

/// What listeners can ask for, on one engine.
macro_rules! listener_features {
    ($engine:ident, $subject:ty) => {
        mod $engine {
            use crate::conformance::{features, goldens, weights, zones};

            #[test]
            fn every_feature_has_its_golden_file() {
                goldens::every_feature_has_its_golden_file::<$subject>();
            }

            #[test]
            fn five_thousand_backends_pass_in_every_balance_mode() {
                goldens::five_thousand_backends_pass_in_every_balance_mode::<$subject>();
            }

            #[tokio::test]
            async fn the_backend_is_told_the_clients_address() {
                features::the_backend_is_told_the_clients_address::<$subject>().await;
            }

            #[tokio::test]
            async fn datagrams_go_to_a_backend_and_back() {
                features::datagrams_go_to_a_backend_and_back::<$subject>().await;
            }

            #[tokio::test]
            async fn clients_outside_the_source_ranges_are_refused() {
                features::clients_outside_the_source_ranges_are_refused::<$subject>().await;
            }

            #[tokio::test]
            async fn with_balance_source_a_client_stays_on_its_node() {
                features::with_balance_source_a_client_stays_on_its_node::<$subject>().await;
            }

            #[tokio::test]
            async fn least_connections_counts_over_all_workers() {
                features::least_connections_counts_over_all_workers::<$subject>().await;
            }

            #[tokio::test]
            async fn an_ipv6_listener_serves_ipv4_and_ipv6_backends() {
                features::an_ipv6_listener_serves_ipv4_and_ipv6_backends::<$subject>().await;
            }

            #[tokio::test]
            async fn new_connections_spread_over_many_changes() {
                features::new_connections_spread_over_many_changes::<$subject>().await;
            }

            #[tokio::test]
            async fn new_connections_follow_the_weights() {
                weights::new_connections_follow_the_weights::<$subject>().await;
            }

            #[tokio::test]
            async fn open_connections_follow_the_weights() {
                weights::open_connections_follow_the_weights::<$subject>().await;
            }

            #[tokio::test]
            async fn another_weight_loses_nothing() {
                weights::another_weight_loses_nothing::<$subject>().await;
            }

            #[tokio::test]
            async fn a_backend_of_another_zone_keeps_its_connections() {
                zones::a_backend_of_another_zone_keeps_its_connections::<$subject>().await;
            }

            #[tokio::test]
            async fn zones_of_different_size_get_the_same_share() {
                zones::zones_of_different_size_get_the_same_share::<$subject>().await;
            }

            #[tokio::test]
            async fn limits_hold() {
                features::limits_hold::<$subject>().await;
            }
        }
    };
}

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

            #[test]
            fn whatever_fails_the_answer_is_true() {
                sweep::whatever_fails_the_answer_is_true::<$subject>();
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
    conformance!(envoy, crate::conformance::envoy::Envoy);
    conformance!(nftables, crate::conformance::nftables::Nftables);
    conformance!(custom, crate::conformance::custom::Custom);
}

/// A user's own engine can what its template can.
mod listeners {
    listener_features!(nginx, crate::conformance::nginx::Nginx);
    listener_features!(haproxy, crate::conformance::haproxy::Haproxy);
    listener_features!(envoy, crate::conformance::envoy::Envoy);
    listener_features!(nftables, crate::conformance::nftables::Nftables);
}
