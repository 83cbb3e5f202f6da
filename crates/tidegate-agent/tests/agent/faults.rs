//! Configurations that must not go live: whatever fails, traffic goes on.

use std::net::TcpListener;
use std::time::Duration;

use tidegate_agent::AgentHandle;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{DesiredState, ProxyProtocol};
use tidegate_core::protocol::{EngineHealth, Failure, Outcome};
use tidegate_core::step::Step;

use crate::rig::{Rig, apply, apply_ok, rolled_back};
use crate::states::{at, listener, state};
use crate::traffic::{Load, answering, backend};

/// A rig whose first state is live, under load, while `wanted` fails; afterwards the first is still live.
async fn fails_under_load(rig: &mut Rig, agent: &AgentHandle, live: &DesiredState, wanted: &DesiredState) -> Failure {
    let vip = live.listeners[0].bind;
    let load = Load::start(vip);
    load.see(20);
    let (before, workers) = (rig.live_text(), rig.workers());
    let report = apply(agent, wanted).await;
    let cause = rolled_back(&report).clone();
    assert_eq!(report.live.unwrap().position, live.position);
    load.see(20);
    assert_eq!(load.stop(), Vec::<String>::new());
    assert_eq!(rig.live_text(), before);
    assert_eq!(rig.workers(), workers);
    assert_eq!(rig.conf_dir(), ["nginx.conf"]);
    let status = agent.status();
    assert_eq!(status.pending, Some(wanted.position));
    assert_eq!(status.last_error.unwrap().failure, cause);
    assert_eq!(status.health, EngineHealth::Up);
    cause
}

const TEMPLATE: &str = "{% include 'nginx/preamble.conf' %}\n{% include 'nginx/events.conf' %}\nstream {\n\
    {% include 'nginx/marker.conf' %}\n{% for listener in listeners %}{% include 'nginx/listener.conf' %}\n{% endfor %}\n}\n";

#[tokio::test]
async fn a_template_that_does_not_render_or_renders_nonsense_never_touches_traffic() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let template = rig.dir.path().join("own.j2");
    std::fs::write(&template, TEMPLATE).unwrap();
    rig.nginx.template = Some(template.clone());
    let agent = rig.start().await;
    let live = state(1, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &live).await;
    let wanted = state(2, vec![(listener("http", vip), vec![at(one), at(two)])]);

    std::fs::write(&template, format!("{TEMPLATE}\n{{{{ missing }}}}")).unwrap();
    let cause = fails_under_load(&mut rig, &agent, &live, &wanted).await;
    assert_eq!((cause.step, cause.class), (Step::Render, ErrorClass::Permanent));
    assert!(cause.message.contains("own.j2:9") && cause.cure.contains("own.j2"), "{cause:?}");

    std::fs::write(&template, format!("{TEMPLATE}\nno_such_directive on;\n")).unwrap();
    let cause = fails_under_load(&mut rig, &agent, &live, &wanted).await;
    assert_eq!((cause.step, cause.class), (Step::Validate, ErrorClass::Permanent));
    assert!(cause.message.contains("no_such_directive"), "{cause:?}");

    // The very same candidate is not tried again: only rendered.
    let report = apply(&agent, &wanted).await;
    let steps: Vec<Step> = report.timings.iter().map(|t| t.step).collect();
    assert_eq!((rolled_back(&report), steps), (&cause, vec![Step::Render]));

    // A corrected template is, although the state is the same.
    std::fs::write(&template, TEMPLATE).unwrap();
    apply_ok(&agent, &wanted).await;
    let status = agent.status();
    assert_eq!((status.last_error, status.pending, status.reloads), (None, None, 2));
}

#[tokio::test]
async fn a_template_without_marker_or_preamble_is_refused_before_anything_is_touched() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let template = rig.dir.path().join("own.j2");
    rig.nginx.template = Some(template.clone());
    let agent = rig.start().await;
    let wanted = state(1, vec![(listener("http", vip), vec![at(one)])]);
    let cases = [
        ("events {}\nstream {\n{% include 'nginx/marker.conf' %}\n}\n", "nginx/preamble.conf"),
        ("{% include 'nginx/preamble.conf' %}\nevents {}\nstream {}\n", "nginx/marker.conf"),
    ];
    for (source, lacking) in cases {
        std::fs::write(&template, source).unwrap();
        let report = apply(&agent, &wanted).await;
        let cause = rolled_back(&report);
        assert_eq!((cause.step, cause.class), (Step::Render, ErrorClass::Permanent));
        assert!(cause.message.contains(lacking) && cause.cure.contains("{% include"), "{cause:?}");
    }
    std::fs::remove_file(&template).unwrap();
    let report = apply(&agent, &wanted).await;
    assert!(rolled_back(&report).message.contains("own.j2"), "{report:?}");
    assert_eq!(rig.conf_dir(), Vec::<String>::new());
    assert_eq!((rig.master(), report.live), (None, None));
}

#[tokio::test]
async fn a_taken_port_is_rolled_back_and_tried_again_until_it_is_free() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let live = state(1, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &live).await;
    let squatter = TcpListener::bind((rig.address, 0)).unwrap();
    let taken = squatter.local_addr().unwrap();
    let wanted = state(2, vec![(listener("http", vip), vec![at(one)]), (listener("more", taken), vec![at(one)])]);

    let cause = fails_under_load(&mut rig, &agent, &live, &wanted).await;
    assert_eq!((cause.step, cause.class), (Step::Verify, ErrorClass::Transient));
    assert!(cause.message.contains(&taken.to_string()) && cause.message.contains("still could not bind"), "{cause:?}");
    assert!(cause.cure.contains("ss -lntup"), "{cause:?}");
    // A push meanwhile is answered from memory.
    let report = apply(&agent, &wanted).await;
    assert_eq!((rolled_back(&report), report.timings.len()), (&cause, 1));

    drop(squatter);
    let status =
        tokio::time::timeout(Duration::from_secs(20), agent.wait_until(|s| s.pending.is_none())).await.unwrap();
    assert_eq!((status.live.unwrap().position, status.last_error), (wanted.position, None));
    assert_eq!(answering(taken), [one.port()].into());
}

#[tokio::test]
async fn a_first_state_that_cannot_bind_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let one = backend(rig.address);
    let squatter = TcpListener::bind((rig.address, 0)).unwrap();
    let agent = rig.start().await;
    let wanted = state(1, vec![(listener("http", squatter.local_addr().unwrap()), vec![at(one)])]);
    let report = apply(&agent, &wanted).await;
    let cause = rolled_back(&report);
    assert_eq!((cause.step, cause.class), (Step::Reload, ErrorClass::Transient));
    assert!(cause.message.contains("failed (98"), "{cause:?}");
    assert_eq!((report.live, rig.master(), rig.conf_dir()), (None, None, vec![]));
    drop(squatter);
    let status = tokio::time::timeout(Duration::from_secs(20), agent.wait_until(|s| s.live.is_some())).await.unwrap();
    assert_eq!(status.live.unwrap().position, wanted.position);
}

#[tokio::test]
async fn what_nginx_cannot_do_is_rolled_back_with_its_reason() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let live = state(1, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &live).await;
    let mut v2 = listener("http", vip);
    v2.proxy_protocol = ProxyProtocol::V2;
    let cause = fails_under_load(&mut rig, &agent, &live, &state(2, vec![(v2, vec![at(one)])])).await;
    assert!(cause.message.contains("v2") && cause.message.contains("http"), "{cause:?}");
    // Two listeners on one address.
    let twice = vec![(listener("http", vip), vec![at(one)]), (listener("again", vip), vec![at(one)])];
    let cause = fails_under_load(&mut rig, &agent, &live, &state(3, twice)).await;
    assert_eq!(cause.step, Step::Validate);
    assert!(cause.message.contains("duplicate"), "{cause:?}");
    // Going back to what is live is no apply at all.
    let report = apply(&agent, &state(4, vec![(listener("http", vip), vec![at(one)])])).await;
    assert_eq!((report.outcome, agent.status().last_error), (Outcome::Unchanged, None));
}
