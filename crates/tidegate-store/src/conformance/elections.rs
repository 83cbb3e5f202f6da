//! A term is opened by an entry; from then on the older leader's next insert collides.

use std::sync::Arc;

use tidegate_core::class::ErrorClass;
use tidegate_core::log::Decision;
use tidegate_core::position::Term;

use super::scenario::{Scenario, at};
use super::{Database, Outcome, open};
use crate::{StoreError, commit};

/// A leader that was paused wakes up and commits what it had in mind.
pub async fn an_election_fences_the_older_term(database: &dyn Database) -> Outcome {
    let (old, new) = (open(database).await?, open(database).await?);
    let mut paused = Scenario::new(1);
    paused.commit(&*old, 5).await?;

    let elected = new.load().await?.election("new", at(paused.state().position.revision));
    commit(&*new, &elected).await?;
    let offered = paused.proposal("old", "w1");
    let error = commit(&*old, &offered).await;
    assert!(
        matches!(error, Err(StoreError::Fenced { offered: o, found }) if o == offered.position() && found == elected.position()),
        "{error:?}"
    );
    assert_eq!(new.newest().await?, Some(elected));
    Ok(())
}

/// Knowing the newest revision is no way around the fence: the term is what counts.
pub async fn a_fenced_leader_cannot_go_on_after_reading_the_log_again(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(2);
    scenario.commit(&*store, 5).await?;
    let older = scenario.state().position.term;
    let mut state = store.load().await?;
    let elected = state.election("new", at(state.position.revision));
    commit(&*store, &elected).await?;
    state.append(&elected).expect("an election follows the log");

    let late = state.next_entry(older, "old", at(state.position.revision), Decision::default());
    let error = commit(&*store, &late).await.err();
    assert_eq!(error.as_ref().map(StoreError::class), Some(ErrorClass::Fenced), "{error:?}");
    assert_eq!(store.newest().await?, Some(elected));
    Ok(())
}

/// All of them saw the same log and want the same term.
pub async fn one_of_many_candidates_wins_a_term(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    for term in 1..=10 {
        let state = store.load().await?;
        let mut candidates = tokio::task::JoinSet::new();
        for number in 0..5 {
            let entry = state.election(&format!("candidate-{number}"), at(state.position.revision));
            let own = open(database).await?;
            candidates.spawn(async move { commit(&*Arc::clone(&own), &entry).await.is_ok() });
        }
        let won = candidates.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "term {term} has one leader");
        assert_eq!(store.load().await?.position.term, Term(term));
    }
    Ok(())
}
