//! The apply sweep on a real engine: seeded random states, some of which fail, judged by what the engine serves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tidegate_agent::Agent;
use tidegate_agent::agent::Parts;
use tidegate_agent::command::SystemCommands;
use tidegate_agent::engine::{Engine, Render, Serving, open};
use tidegate_agent::file::{Found, LiveFile};
use tidegate_agent::pipeline::Pipeline;
use tidegate_core::protocol::Outcome;

use super::sabotage::Sabotaged;
use super::side_by_side::{Named, at_once, block_on};
use super::site::{Site, Subject};
use crate::sweep::{Dice, random_faults, random_state};

/// How often each outcome was seen.
type Seen = BTreeMap<&'static str, u64>;

/// `SEED`: of the first lane; a failure names that of its own.
pub fn whatever_fails_the_answer_is_true<S: Subject>() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x71DE_6A7E_u64);
    let seen = Arc::new(Mutex::new(Seen::new()));
    let lane = |n: u64| -> Named {
        let (seen, seed) = (seen.clone(), seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let run = move || block_on(sweep::<S>(seed, S::STATES.div_ceil(S::LANES), &seen));
        (format!("lane {n}"), Box::new(run))
    };
    at_once((0..S::LANES).map(lane).collect());
    let seen = seen.lock().unwrap();
    for result in ["applied", "unchanged", "rolledBack", "rollbackFailed"] {
        let n = seen.get(result).copied().unwrap_or_default();
        assert!(n >= S::STATES / 50, "the sweep must see each outcome often: {seen:?}");
    }
    assert!(seen.values().sum::<u64>() >= S::STATES, "{seen:?}");
}

async fn sweep<S: Subject>(seed: u64, states: u64, seen: &Mutex<Seen>) {
    let mut dice = Dice(seed);
    let site = Site::<S>::new();
    let binds = [site.free_port(), site.free_port()];
    let settings = S::settings(site.dir.path());
    let inner = open(&settings, &site.dir.path().join("state"), Arc::new(SystemCommands)).await.unwrap();
    let engine = Arc::new(Sabotaged { inner, faults: Mutex::default() });
    let file = LiveFile::new(site.live_file(), false);
    let pipeline = Pipeline { engine: engine.clone(), file: file.clone(), hook: Arc::new(|_| {}) };
    let parts = Parts::with_engine(site.dir.path().join("state"), pipeline, Duration::ZERO).unwrap();
    let agent = Agent::start_with(parts, &mut Registry::default()).await.unwrap();
    let mut before_it = None;
    // What is found after a state is what there is before the next one: to ask once is enough.
    let (mut file_before, mut agreed) = (file.read().unwrap(), agrees(&engine.serving().await, &file.read().unwrap()));
    for revision in 1..=states {
        let wanted = random_state(&mut dice, before_it.as_ref(), revision, binds);
        before_it = Some(wanted.clone());
        let target = engine.render(&wanted).unwrap().generation;
        let faults = random_faults(&mut dice);
        engine.faults.lock().unwrap().clone_from(&faults);
        let report = agent.submit(wanted.clone()).await.unwrap();
        let (now, serving) = (file.read().unwrap(), engine.serving().await);
        let context = format!("seed {seed} revision {revision} faults {faults:?}: {report:?}, serving {serving:?}");
        *seen.lock().unwrap().entry(report.outcome.as_str()).or_default() += 1;
        match &report.outcome {
            Outcome::Applied | Outcome::Unchanged => {
                assert!(serving.is(target), "{context}");
                assert_eq!(now, Found::Ours(target), "{context}");
                assert_eq!(report.live.unwrap().position, wanted.position, "{context}");
            }
            Outcome::RolledBack { .. } => {
                assert_eq!(now, file_before, "{context}");
                // What went wrong before it may be put right by the way, never the other way round.
                assert!(agrees(&serving, &now) || !agreed, "{context}");
                assert_ne!(report.live.map(|l| l.position), Some(wanted.position), "{context}");
            }
            Outcome::RollbackFailed { .. } => {
                let status = agent.status();
                assert!(status.last_error.is_some_and(|e| e.position == Some(wanted.position)), "{context}");
                assert!(matches!(now, Found::Ours(_) | Found::Absent), "{context}");
            }
            Outcome::Superseded { .. } => panic!("nothing came meanwhile: {context}"),
        }
        (agreed, file_before) = (agrees(&serving, &now), now);
    }
}

/// Whether the engine serves what the live file says, or nothing when there is none.
fn agrees(serving: &Serving, file: &Found) -> bool {
    match file {
        Found::Ours(generation) => serving.is(*generation),
        _ => !matches!(serving, Serving::Exactly(_)),
    }
}
