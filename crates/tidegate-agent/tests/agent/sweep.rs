//! The apply sweep: 1,000 seeded random states through an engine that fails, judged three ways.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tidegate_agent::engine::Render;
use tidegate_agent::file::Found;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::Outcome;

use crate::faulty::{Fault, Site};
use crate::states::{backend, draining, listener, state};

/// xorshift64*: a seed is all that is needed to see a failure again.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// One in four repeats the content before it.
pub fn random_state(
    dice: &mut Dice,
    before: Option<&DesiredState>,
    revision: u64,
    binds: [SocketAddr; 2],
) -> DesiredState {
    if let Some(before) = before.filter(|_| dice.roll(4) == 0) {
        let mut again = before.clone();
        again.position.revision.0 = revision;
        return again;
    }
    let listeners = 1 + dice.roll(2);
    let content = (0..).zip(binds).take(usize::try_from(listeners).unwrap()).map(|(l, bind): (u8, _)| {
        let byte = |dice: &mut Dice| u8::try_from(dice.roll(256)).unwrap();
        let count = 1 + u8::try_from(dice.roll(3)).unwrap();
        let mut pool: Vec<_> =
            (1..=count).map(|n| backend(&format!("w{n}"), [10, byte(dice), byte(dice), n].into(), 80)).collect();
        if dice.roll(3) == 0 {
            pool.push(draining(backend("w9", [10, 0, 0, 9].into(), 80)));
        }
        (listener(&format!("l{l}"), bind), pool)
    });
    state(revision, content.collect())
}

pub fn random_faults(dice: &mut Dice) -> VecDeque<Fault> {
    match dice.roll(10) {
        0 => [Fault::Validate].into(),
        1 => [Fault::Reload].into(),
        2 => [Fault::ConfirmOld].into(),
        3 => [Fault::ConfirmLate].into(),
        4 => [Fault::ConfirmLate, Fault::AndReloadAgain].into(),
        5 => [Fault::ConfirmLate, Fault::AndConfirmAgain].into(),
        _ => VecDeque::new(),
    }
}

#[tokio::test]
async fn whatever_fails_the_answer_is_true() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x71DE_6A7E);
    let mut dice = Dice(seed);
    let (site, agent) = Site::new().await;
    let binds = [1000, 1001].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    let mut before_it = None;
    for revision in 1..=1000 {
        let wanted = random_state(&mut dice, before_it.as_ref(), revision, binds);
        before_it = Some(wanted.clone());
        let target = site.engine.render(&wanted).unwrap();
        let faults = random_faults(&mut dice);
        let class = if dice.roll(2) == 0 { ErrorClass::Transient } else { ErrorClass::Permanent };
        let (before, file_before) = {
            let mut world = site.world.lock().unwrap();
            (world.faults, world.class, world.commands) = (faults.clone(), Some(class), 0);
            (world.serving, site.file.read().unwrap())
        };
        let report = agent.submit(wanted.clone()).await.unwrap();
        let (serving, commands) = {
            let world = site.world.lock().unwrap();
            (world.serving, world.commands)
        };
        let file = site.file.read().unwrap();
        let context = format!("seed {seed} revision {revision} faults {faults:?}: {report:?}");
        *seen.entry(report.outcome.as_str()).or_default() += 1;
        match &report.outcome {
            Outcome::Applied => {
                assert_eq!((serving, file), (Some(target.generation), Found::Ours(target.generation)), "{context}");
                assert_eq!(report.live.unwrap().position, wanted.position, "{context}");
            }
            Outcome::Unchanged => {
                assert_eq!((serving, commands), (Some(target.generation), 0), "{context}");
                assert_eq!(report.live.unwrap().position, wanted.position, "{context}");
            }
            Outcome::RolledBack { .. } => {
                // After a failed roll back engine and file may differ; going back then means to the file.
                let agreed = before.map_or(Found::Absent, Found::Ours) == file_before;
                let healed = !agreed && serving.map_or(Found::Absent, Found::Ours) == file_before;
                assert!(serving == before || healed, "{context}");
                assert_eq!(file, file_before, "{context}");
                assert_ne!(report.live.map(|l| l.position), Some(wanted.position), "{context}");
            }
            Outcome::RollbackFailed { .. } => {
                let status = agent.status();
                assert!(status.last_error.is_some_and(|e| e.position == Some(wanted.position)), "{context}");
                assert_eq!(status.pending, Some(wanted.position), "{context}");
                assert!(matches!(file, Found::Ours(_) | Found::Absent), "{context}");
            }
            Outcome::Superseded { .. } => panic!("nothing came meanwhile: {context}"),
        }
    }
    for result in ["applied", "unchanged", "rolledBack", "rollbackFailed"] {
        assert!(seen.get(result).is_some_and(|n| *n >= 20), "the sweep must see each outcome often: {seen:?}");
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &site.registry).unwrap();
    let applied = format!("tidegate_apply_total{{engine=\"custom\",result=\"applied\"}} {}", seen["applied"]);
    assert!(text.contains(&applied) && text.contains("tidegate_apply_step_seconds_bucket"), "{text}");
}
