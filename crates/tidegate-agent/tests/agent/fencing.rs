//! An older term is refused, whatever its revision: also by an agent that was restarted.

use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::Refusal;

use crate::rig::{Rig, apply, apply_ok, rolled_back};
use crate::states::{at, listener, position, state};
use crate::traffic::{answering, backend};

fn of_term(term: u64, state: DesiredState) -> DesiredState {
    DesiredState { position: position(term, state.position.revision.0), ..state }
}

#[tokio::test]
async fn an_older_term_is_refused_though_its_revision_is_higher_also_after_a_restart() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let content = |socket| vec![(listener("http", vip), vec![at(socket)])];
    let current = of_term(3, state(10, content(one)));
    let stale = [of_term(2, state(11, content(two))), of_term(2, state(10, content(one)))];
    let mut agent = rig.start().await;
    apply_ok(&agent, &current).await;
    for restarts in 0..3 {
        for older in &stale {
            let refusal = agent.submit(older.clone()).await.unwrap_err();
            assert_eq!(refusal, Refusal::OlderPosition { offered: older.position, current: current.position });
            assert_eq!((refusal.class(), refusal.status()), (ErrorClass::Fenced, 409));
        }
        assert_eq!(agent.status().live.unwrap().position, current.position, "after {restarts} restarts");
        assert_eq!(answering(vip), [one.port()].into());
        agent.shutdown().await;
        if restarts == 1 {
            // The machine as well: nothing but the disk knows.
            rig.kill_nginx();
        }
        agent = rig.start().await;
    }
    // A newer term may go on at any revision, also a lower one.
    let newer = of_term(4, state(1, content(two)));
    apply_ok(&agent, &newer).await;
    assert_eq!(answering(vip), [two.port()].into());
}

#[tokio::test]
async fn a_term_that_was_admitted_fences_though_its_state_never_went_live() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let content = |socket| vec![(listener("http", vip), vec![at(socket)])];
    let agent = rig.start().await;
    apply_ok(&agent, &of_term(1, state(1, content(one)))).await;
    let squatter = std::net::TcpListener::bind((rig.address, 0)).unwrap();
    let taken = listener("taken", squatter.local_addr().unwrap());
    let failing = of_term(2, state(1, [content(two), vec![(taken, vec![at(two)])]].concat()));
    rolled_back(&apply(&agent, &failing).await);
    let stale = of_term(1, state(2, content(two)));
    let refused = Refusal::OlderPosition { offered: stale.position, current: failing.position };
    assert_eq!(agent.submit(stale.clone()).await.unwrap_err(), refused);
    agent.shutdown().await;
    let agent = rig.start().await;
    assert_eq!(agent.submit(stale).await.unwrap_err(), refused);
    assert_eq!(answering(vip), [one.port()].into());
}
