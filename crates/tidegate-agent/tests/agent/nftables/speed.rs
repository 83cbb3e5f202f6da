//! One change of a large pool, beside what nft itself takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_agent::Masquerade;
use tidegate_core::desired::Backend;
use tidegate_core::step::Step;

use super::machines::Machines;
use crate::conformance::nftables::run;
use crate::rig::apply_ok;
use crate::states::{backend, listener, state};

fn pool(count: u16) -> Vec<Backend> {
    (0..count).map(|n| backend(&format!("w{n}"), [10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]].into(), 80)).collect()
}

/// The least disturbed one: other tests run beside this one.
fn least(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap()
}

#[tokio::test]
async fn one_change_of_many_backends_takes_as_long_as_one_of_few() {
    let machines = Machines::new(0);
    let settings = machines.settings(Masquerade::Always);
    let (live, script) = (settings.config_file.clone(), machines.dir.path().join("beside.nft"));
    let agent = machines.agent(settings).await;
    let http = SocketAddr::new(Machines::vip(4), 80);
    let mut revision = 0;
    for count in [3, 5000] {
        let whole = pool(count);
        let (mut ours, mut told, mut bare, mut steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..12_u16 {
            revision += 1;
            let mut some = whole.clone();
            if round.is_multiple_of(2) {
                some.remove(usize::from(round % count));
            }
            let begun = Instant::now();
            let report = apply_ok(&agent, &state(revision, vec![(listener("http", http), some)])).await;
            if round > 1 {
                ours.push(begun.elapsed());
                let micros = |step| report.timings.iter().filter(|t| t.step == step).map(|t| t.micros).sum::<u64>();
                let engine = micros(Step::Reload) + micros(Step::Verify);
                told.push(Duration::from_micros(engine));
                steps = report.timings;
            }
            // The same in a table beside it: what is in ours stays as the agent remembers it.
            let text = std::fs::read_to_string(&live).unwrap().replace("inet tidegate", "inet beside");
            std::fs::write(&script, text).unwrap();
            let begun = Instant::now();
            run("nft", &["-f", script.to_str().unwrap()]);
            bare.push(begun.elapsed());
        }
        let (ours, told, bare) = (least(&ours), least(&told), least(&bare));
        eprintln!(
            "{count} backends: change to ack {ours:?}, loaded and proved in {told:?}, bare nft -f {bare:?}; {steps:?}"
        );
        // What the kernel and its programs take; the rest is the disk's, and in a build without optimisation the renderer's.
        assert!(told < bare * 4, "{count}: {told:?}, bare {bare:?}");
    }
}
