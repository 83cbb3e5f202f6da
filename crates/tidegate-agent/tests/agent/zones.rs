//! The zone of the machine and the probes together: others serve when too little of its own zone answers.

use std::collections::BTreeSet;

use tidegate_agent::{AgentHandle, AgentSettings, ProbeSettings};
use tidegate_core::desired::{DesiredState, Listener};
use tidegate_core::guard::Guard;
use tidegate_core::node::Zone;
use tidegate_core::probe::Verdict;
use tidegate_core::zones::Zones;

use crate::probes::{Backend, answers, http, until_out};
use crate::rig::{Rig, apply_ok};
use crate::states::{at, state, within};
use crate::traffic::LIMIT;

async fn start(rig: &mut Rig) -> AgentHandle {
    let zone = Some(Zone::parse("rack-a").unwrap());
    let settings = AgentSettings { probes: Some(ProbeSettings::default()), zone, ..rig.settings() };
    tidegate_agent::Agent::start(settings, None, &mut rig.registry).await.unwrap()
}

/// Two of this zone and two of another.
fn wanted(http: &Listener, [a, b, c, d]: &[Backend; 4]) -> DesiredState {
    let near = [a, b].map(|backend| within("rack-a", at(backend.at)));
    let far = [c, d].map(|backend| within("rack-b", at(backend.at)));
    state(1, vec![(http.clone(), near.into_iter().chain(far).collect())])
}

async fn until_aside(agent: &AgentHandle, expected: &[&Backend]) {
    let expected: BTreeSet<String> = expected.iter().map(|b| format!("n{}", b.at.port())).collect();
    let aside = |status: &tidegate_core::protocol::AgentStatus| -> BTreeSet<String> {
        status.backends.iter().filter(|b| b.set_aside.is_some()).map(|b| b.node.to_string()).collect()
    };
    let waited = tokio::time::timeout(LIMIT, agent.wait_until(|status| aside(status) == expected)).await;
    waited.unwrap_or_else(|_| panic!("expected {expected:?} aside: {:#?}", agent.status()));
}

fn distinct(answers: Vec<u16>) -> BTreeSet<u16> {
    answers.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_zone_serves_while_too_little_of_the_own_one_answers() {
    let mut rig = Rig::new();
    let mut backends = std::array::from_fn::<_, 4, _>(|_| Backend::start());
    let vip = rig.free_port();
    let http = Listener { zones: Zones::Prefer, ..http(vip) };
    let agent = start(&mut rig).await;
    apply_ok(&agent, &wanted(&http, &backends)).await;
    until_aside(&agent, &[&backends[2], &backends[3]]).await;
    let [near, other, ..] = [0, 1, 2, 3].map(|n: usize| backends[n].at.port());
    assert_eq!(distinct(answers(vip)), [near, other].into());
    // Who is set aside is asked all the same, and is not out.
    let asked = agent.wait_until(|s| s.backends.iter().all(|b| b.probe.is_some())).await;
    assert!(asked.backends.iter().filter_map(|b| b.probe.as_ref()).all(|p| p.verdict == Verdict::Up && !p.out));
    // Half is enough.
    backends[0].die();
    until_out(&agent, &[near]).await;
    until_aside(&agent, &[&backends[2], &backends[3]]).await;
    assert_eq!(distinct(answers(vip)), [other].into());
    // The other one as well: a guard keeps it in, and it answers nobody.
    backends[1].die();
    until_aside(&agent, &[]).await;
    let holds = agent.status().probes.unwrap().holds;
    assert_eq!(holds.first().map(|hold| hold.guard), Some(Guard::Velocity), "{holds:?}");
    assert_eq!(distinct(answers(vip)), [backends[2].at.port(), backends[3].at.port()].into());
    // One is back: that is no more than half. Both are: home again.
    backends[1].live_again();
    tokio::time::timeout(LIMIT, agent.wait_until(|s| s.probes.as_ref().is_some_and(|p| p.holds.is_empty())))
        .await
        .unwrap();
    until_aside(&agent, &[]).await;
    backends[0].live_again();
    until_out(&agent, &[]).await;
    until_aside(&agent, &[&backends[2], &backends[3]]).await;
    assert_eq!(distinct(answers(vip)), [near, other].into());
    agent.shutdown().await;
}
