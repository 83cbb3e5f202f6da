//! The newest admitted state is never forgotten: nobody has to push it again.

use std::net::TcpListener;

use tidegate_core::protocol::Outcome;
use tidegate_core::step::Step;

use crate::rig::{Rig, apply, apply_ok, rolled_back};
use crate::states::{at, listener, state};
use crate::traffic::{answering, backend};

const TEMPLATE: &str = include_str!("../../templates/nginx/stream.conf");

/// A rig with a template of its own, serving revision 1.
async fn serving(rig: &mut Rig) -> (tidegate_agent::AgentHandle, std::path::PathBuf, [std::net::SocketAddr; 3]) {
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let template = rig.dir.path().join("own.j2");
    std::fs::write(&template, TEMPLATE).unwrap();
    rig.nginx.template = Some(template.clone());
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    (agent, template, [vip, one, two])
}

#[tokio::test]
async fn a_corrected_template_goes_live_by_itself() {
    let mut rig = Rig::new();
    let (agent, template, [vip, one, two]) = serving(&mut rig).await;
    let wanted = state(2, vec![(listener("http", vip), vec![at(one), at(two)])]);
    for broken in [format!("{TEMPLATE}\n{{{{ missing }}}}"), format!("{TEMPLATE}\nno_such_directive on;\n")] {
        std::fs::write(&template, broken).unwrap();
        rolled_back(&apply(&agent, &wanted).await);
    }
    std::fs::write(&template, TEMPLATE).unwrap();
    let status = agent.wait_until(|s| s.live.is_some_and(|l| l.position == wanted.position)).await;
    assert_eq!((status.pending, status.last_error), (None, None));
    assert_eq!(answering(vip), [one.port(), two.port()].into());
}

#[tokio::test]
async fn an_edited_template_goes_live_though_no_state_changes() {
    let mut rig = Rig::new();
    let (agent, template, [vip, one, _]) = serving(&mut rig).await;
    std::fs::write(&template, TEMPLATE.replace("stream {", "stream {\n    tcp_nodelay off;")).unwrap();
    // The start of nginx was the first.
    agent.wait_until(|s| s.reloads == 2).await;
    assert!(rig.live_text().contains("tcp_nodelay off;"));
    assert_eq!(answering(vip), [one.port()].into());
}

#[tokio::test]
async fn a_state_that_failed_before_a_restart_is_taken_up_after_it() {
    let mut rig = Rig::new();
    let (agent, template, [vip, one, two]) = serving(&mut rig).await;
    let wanted = state(2, vec![(listener("http", vip), vec![at(one), at(two)])]);
    std::fs::write(&template, format!("{TEMPLATE}\nno_such_directive on;\n")).unwrap();
    assert_eq!(rolled_back(&apply(&agent, &wanted).await).step, Step::Validate);
    agent.shutdown().await;
    std::fs::write(&template, TEMPLATE).unwrap();
    let agent = rig.start().await;
    // The controller sees that it is pending and does not push it again.
    let status = agent.wait_until(|s| s.live.is_some_and(|l| l.position == wanted.position)).await;
    assert_eq!(status.pending, None);
    assert_eq!(answering(vip), [one.port(), two.port()].into());
}

#[tokio::test]
async fn a_retry_is_always_of_the_newest_state() {
    let mut rig = Rig::new();
    let (agent, _, [vip, one, two]) = serving(&mut rig).await;
    let squatter = TcpListener::bind((rig.address, 0)).unwrap();
    let taken = squatter.local_addr().unwrap();
    let content = |pool: &[std::net::SocketAddr]| {
        let pool: Vec<_> = pool.iter().copied().map(at).collect();
        vec![(listener("http", vip), pool.clone()), (listener("more", taken), pool)]
    };
    let older = state(2, content(&[one]));
    let first = tokio::spawn({
        let (agent, older) = (agent.clone(), older.clone());
        async move { agent.submit(older).await.unwrap() }
    });
    // Newer while the older one is being tried, which takes nginx 2.5 s.
    agent.wait_until(|s| s.pending == Some(older.position)).await;
    let newest = state(3, content(&[one, two]));
    let report = apply(&agent, &newest).await;
    assert!(matches!(report.outcome, Outcome::RolledBack { .. }), "{report:?}");
    assert!(!matches!(first.await.unwrap().outcome, Outcome::Applied));
    drop(squatter);
    let status = agent.wait_until(|s| s.live.is_some_and(|l| l.position > older.position)).await;
    assert_eq!((status.live.unwrap().position, status.pending), (newest.position, None));
}
