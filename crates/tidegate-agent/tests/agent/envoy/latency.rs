//! The agent's own share of a change, beside the bare operation of the same run.

use std::time::{Duration, Instant};

use super::{EnvoySite, ask_admin};
use crate::rig::apply_ok;
use crate::states::{at, backend as node, listener, state};
use crate::traffic::backend;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// What a script would do: rename the endpoints, and ask until the version is there.
fn bare(site: &EnvoySite, number: u64) -> Duration {
    let file = site.dir.path().join("state/envoy/eds/http/endpoints.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, rest) = text.split_once("\",").unwrap();
    let version = format!("bare{number}");
    let start = Instant::now();
    std::fs::write(file.with_extension("new"), format!("{{\"version_info\":\"{version}\",{rest}")).unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    while !ask_admin(site.dir.path(), "/stats?filter=%5Ecluster%5C.http%5C.version_text").contains(&version) {
        std::thread::sleep(Duration::from_micros(500));
    }
    start.elapsed()
}

#[tokio::test]
async fn a_change_takes_little_more_than_envoy_itself() {
    for (extra, runs, bound) in [(0_u16, 20, 40), (5000, 5, 2000)] {
        let mut site = EnvoySite::new();
        let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
        let agent = site.start().await;
        let address = |n: u16| [10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]].into();
        let many: Vec<_> = (0..extra).map(|n| node(&format!("w{n}"), address(n), 80)).collect();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for revision in 1..=runs {
            let mut pool = many.clone();
            pool.push(at(if revision % 2 == 0 { one } else { two }));
            let wanted = state(revision, vec![(listener("http", vip), pool)]);
            let start = Instant::now();
            let report = apply_ok(&agent, &wanted).await;
            // The first one starts Envoy.
            if revision > 1 {
                ours.push(start.elapsed());
                theirs.push(bare(&site, revision));
            }
            if revision > 1 {
                println!("{:?} {:?}", ours.last(), theirs.last());
                println!("{:?}", report.timings.iter().map(|t| (t.step.as_str(), t.micros)).collect::<Vec<_>>());
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("{extra} more: ack {ours:?}, bare {theirs:?}, ratio {:.2}", ours.as_secs_f64() / theirs.as_secs_f64());
        // Debug build and a busy machine.
        assert!(ours < theirs.mul_f64(3.0) + Duration::from_millis(bound), "ack {ours:?}, bare {theirs:?}");
    }
}
