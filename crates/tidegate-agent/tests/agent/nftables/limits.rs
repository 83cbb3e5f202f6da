//! Source ranges and limits of connections.

use std::num::NonZeroU32;

use tidegate_agent::Masquerade;
use tidegate_core::desired::Listener;

use super::forwarding::{ALL, PORT, asking, four, pool};
use super::machines::Machines;
use crate::rig::apply_ok;

#[tokio::test]
async fn clients_outside_the_source_ranges_are_refused() {
    let machines = Machines::new(1);
    machines.serve(1, PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    let ranges = |texts: [&'static str; 3]| {
        move |l: &mut Listener| l.source_ranges = texts.iter().map(|r| r.parse().unwrap()).collect()
    };
    let asked =
        || machines.on_client(|| ALL.map(|(udp, family)| asking(udp, family).and_then(|mut a| a.ask()).is_ok()));
    apply_ok(&agent, &four(1, &pool(&[1]), ranges(["10.78.0.0/24", "10.78.0.0/16", "fd78::/16"]))).await;
    assert_eq!(asked(), [true; 4]);
    apply_ok(&agent, &four(2, &pool(&[1]), ranges(["192.0.2.0/24", "10.79.0.0/16", "fd79::/16"]))).await;
    let begun = std::time::Instant::now();
    assert_eq!(asked(), [false; 4]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "refused at once, not left waiting");
    // Of the other family only: nobody may.
    apply_ok(&agent, &four(3, &pool(&[1]), |l| l.source_ranges = vec!["10.78.0.0/24".parse().unwrap()])).await;
    assert_eq!(asked(), [true, true, false, false]);
}

#[tokio::test]
async fn a_limit_of_connections_counts_over_changes() {
    let machines = Machines::new(2);
    machines.serve_each(&[1, 2], PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    let two = |l: &mut Listener| l.limits.max_connections = NonZeroU32::new(2);
    apply_ok(&agent, &four(1, &pool(&[1]), two)).await;
    let mut kept = machines.on_client(|| [(); 2].map(|()| asking(false, 4).unwrap()));
    for a in &mut kept {
        drop(a.ask().unwrap());
    }
    assert!(machines.on_client(|| asking(false, 4).is_err()));
    // Other listeners have a count of their own, and a change of backends does not begin it anew.
    assert!(machines.on_client(|| asking(false, 6).is_ok()));
    apply_ok(&agent, &four(2, &pool(&[1, 2]), two)).await;
    assert!(machines.on_client(|| asking(false, 4).is_err()));
    for a in &mut kept {
        drop(a.ask().unwrap());
    }
}
