//! Probe verdicts, and whom the guards let them take out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use tidegate_core::desired::{Backend, DesiredState, Listener, Protocol};
use tidegate_core::guard::{Guard, Limits};
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, ListenerName, NodeName};
use tidegate_core::position::{Position, Revision, Term};
use tidegate_core::probe::{Asked, Overlay, Probe, Roll, Target, Verdict};

fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

fn listener(protocol: Protocol) -> Listener {
    Listener { protocol, ..Listener::tcp(ListenerName::parse("http").unwrap(), SocketAddr::new(address(250), 80), 80) }
}

fn state_of(listener: Listener, active: impl IntoIterator<Item = u8>) -> DesiredState {
    let backend = |n| Backend::active(NodeName::parse(format!("w{n}")).unwrap(), address(n), 80);
    let pool = active.into_iter().map(backend).collect();
    let mut state = DesiredState {
        cluster: ClusterName::parse("prod").unwrap(),
        position: Position { term: Term(1), revision: Revision(1) },
        hash: ContentHash::of_bytes(b""),
        pools: BTreeMap::from([(listener.name.clone(), pool)]),
        listeners: vec![listener],
        overrides: BTreeMap::new(),
    };
    state.hash = state.content_hash();
    state
}

fn state(active: impl IntoIterator<Item = u8>) -> DesiredState {
    state_of(listener(Protocol::Tcp), active)
}

/// A roll, with the verdicts that it is told.
#[derive(Default)]
struct Site {
    roll: Roll,
    down: BTreeSet<u8>,
    unknown: BTreeSet<u8>,
    sick: bool,
    limits: Limits,
    seconds: u64,
}

impl Site {
    /// Who is out, and which guard holds how many.
    fn judge(&mut self, state: &DesiredState) -> (Vec<u8>, Option<(Guard, usize)>) {
        let verdict = |target: &Target| {
            let n = number(target.address.ip());
            match () {
                () if self.down.contains(&n) => Verdict::Down,
                () if self.unknown.contains(&n) => Verdict::Unknown,
                () => Verdict::Up,
            }
        };
        let asked = Asked { verdict: &verdict, is_sick: self.sick };
        let judgement = self.roll.judge(state, &asked, &self.limits, Duration::from_secs(self.seconds));
        // G1, whatever the roll says: somebody serves.
        let effective = judgement.overlay.over(state);
        assert!(effective.as_ref().unwrap_or(state).starved().is_empty());
        let hold = judgement.holds.first().map(|hold| (hold.guard, hold.nodes.len()));
        (out_of(state, &judgement.overlay), hold)
    }
}

fn number(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    }
}

fn out_of(state: &DesiredState, overlay: &Overlay) -> Vec<u8> {
    let name = &state.listeners[0].name;
    state.pool(name).iter().filter(|b| overlay.is_out(name, b.address)).map(|b| number(b.address)).collect()
}

#[test]
fn a_dead_node_goes_and_comes_back() {
    let (mut site, three) = (Site::default(), state(1..=3));
    assert_eq!(site.judge(&three), (vec![], None));
    site.down = [2].into();
    assert_eq!(site.judge(&three), (vec![2], None));
    site.down.clear();
    assert_eq!(site.judge(&three), (vec![], None));
}

#[test]
fn when_all_fail_at_once_nobody_goes_and_who_was_out_stays_out() {
    let (mut site, three) = (Site::default(), state(1..=3));
    site.judge(&three);
    site.down = [1, 2, 3].into();
    assert_eq!(site.judge(&three), (vec![], Some((Guard::AllFailing, 3))));
    site.down = [1].into();
    assert_eq!(site.judge(&three), (vec![1], None));
    site.down = [1, 2, 3].into();
    assert_eq!(site.judge(&three), (vec![1], Some((Guard::AllFailing, 2))));
}

#[test]
fn only_so_many_go_in_five_minutes() {
    let (mut site, ten) = (Site::default(), state(1..=10));
    site.judge(&ten);
    site.down = [1, 2, 3, 4].into();
    assert_eq!(site.judge(&ten), (vec![1, 2], Some((Guard::Velocity, 2))));
    site.seconds = 299;
    assert_eq!(site.judge(&ten).0, [1, 2]);
    site.seconds = 300;
    assert_eq!(site.judge(&ten), (vec![1, 2, 3, 4], None));
    site.down.extend([5, 6, 7]);
    site.seconds = 601;
    assert_eq!(site.judge(&ten), (vec![1, 2, 3, 4, 5], Some((Guard::Half, 2))));
}

#[test]
fn an_override_lets_them_go() {
    let (mut site, ten) = (Site::default(), state(1..=10));
    site.judge(&ten);
    site.down = [1, 2, 3, 4].into();
    site.limits.overridden = [Guard::Velocity].into();
    assert_eq!(site.judge(&ten), (vec![1, 2, 3, 4], None));
}

#[test]
fn a_new_node_is_served_as_soon_as_it_has_answered_and_not_before() {
    let mut site = Site { unknown: [3].into(), ..Site::default() };
    site.judge(&state(1..=2));
    assert_eq!(site.judge(&state(1..=3)), (vec![3], None));
    site.down = [3].into();
    assert_eq!(site.judge(&state(1..=3)), (vec![3], None), "no guard makes anybody serve what never answered");
    site.down.clear();
    site.unknown.clear();
    assert_eq!(site.judge(&state(1..=3)), (vec![], None));
}

#[test]
fn a_new_node_is_believed_where_nobody_can_be_asked() {
    let mut site = Site { unknown: [3].into(), ..Site::default() };
    site.judge(&state(1..=2));
    site.sick = true;
    assert_eq!(site.judge(&state(1..=3)), (vec![], None));
}

#[test]
fn the_first_state_is_served_at_once() {
    let mut site = Site { unknown: [1, 2, 3].into(), ..Site::default() };
    assert_eq!(site.judge(&state(1..=3)), (vec![], None));
}

#[test]
fn who_is_not_asked_is_believed() {
    let silent = Listener { probe: Some(Probe::none()), ..listener(Protocol::Tcp) };
    let mut site = Site { down: [1, 2].into(), ..Site::default() };
    let state = state_of(silent, 1..=3);
    site.judge(&state);
    assert_eq!(site.judge(&state), (vec![], None));
    assert_eq!(listener(Protocol::Udp).probing().check, None, "datagrams cannot be asked");
}

#[test]
fn what_an_earlier_process_knew_holds_until_it_is_answered() {
    let three = state(1..=3);
    let mut overlay = Overlay::default();
    overlay.take_out(three.listeners[0].name.clone(), address(2));
    let mut site = Site { roll: Roll::with_out(&three, &overlay, Duration::ZERO), ..Site::default() };
    site.unknown = [1, 2, 3].into();
    assert_eq!(site.judge(&three), (vec![2], None));
    site.unknown.clear();
    assert_eq!(site.judge(&three), (vec![], None));
}

#[test]
fn an_overlay_cuts_no_stream_and_lets_no_datagram_through() {
    let effective = |protocol| {
        let desired = state_of(listener(protocol), 1..=3);
        let mut overlay = Overlay::default();
        overlay.take_out(desired.listeners[0].name.clone(), address(2));
        let effective = overlay.over(&desired).unwrap();
        assert_eq!((effective.position, effective.hash), (desired.position, desired.hash));
        effective.pools.into_values().next().unwrap()
    };
    let tcp = effective(Protocol::Tcp);
    assert_eq!(tcp.iter().map(Backend::is_active).collect::<Vec<_>>(), [true, false, true]);
    let udp = effective(Protocol::Udp);
    assert_eq!(udp.iter().map(|b| number(b.address)).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_overlay_never_leaves_a_listener_without_anybody() {
    let desired = state(1..=2);
    let mut overlay = Overlay::default();
    for n in 1..=2 {
        overlay.take_out(desired.listeners[0].name.clone(), address(n));
    }
    assert_eq!(overlay.over(&desired), None);
}

#[test]
fn a_probe_on_the_wire_reads_back() {
    let text =
        r#"{"check":{"http":"/healthz"},"port":10256,"intervalMillis":250,"timeoutMillis":200,"fall":3,"rise":2}"#;
    let probe: Probe = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&probe).unwrap(), text);
    assert!(serde_json::from_str::<Probe>(&text.replace("/healthz", "/a b")).is_err());
    assert!(serde_json::from_str::<Probe>(&text.replace("/healthz", "x")).is_err());
}

/// One step of a random story: who is in the pool, who answers, how much later.
#[derive(Clone, Debug)]
struct Step {
    pool: BTreeSet<u8>,
    down: BTreeSet<u8>,
    unknown: BTreeSet<u8>,
    sick: bool,
    seconds: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let nodes = |most: usize| prop::collection::btree_set(1..=12_u8, 0..=most);
    (prop::collection::btree_set(1..=12_u8, 1..=12), nodes(12), nodes(4), prop::bool::weighted(0.1), 0..400_u64)
        .prop_map(|(pool, down, unknown, sick, seconds)| Step { pool, down, unknown, sick, seconds })
}

proptest! {
    // 20,000 stories of about 6 steps: more than 10^5 judgements in every run.
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_probes_say_enough_serve_and_nobody_goes_without_a_verdict(
        story in prop::collection::vec(step(), 2..10)
    ) {
        let mut site = Site::default();
        let mut out_before: BTreeSet<u8> = BTreeSet::new();
        // Everyone but those that wait for their first answer.
        let mut established: BTreeSet<u8> = BTreeSet::new();
        for step in story {
            site.seconds += step.seconds;
            (site.down, site.unknown, site.sick) = (step.down.clone(), step.unknown.clone(), step.sick);
            let state = state(step.pool.iter().copied());
            let (out, hold) = site.judge(&state);
            let out: BTreeSet<u8> = out.into_iter().collect();
            established.retain(|n| step.pool.contains(n));
            if step.sick || established.is_subset(&out_before) {
                established.clone_from(&step.pool);
            }
            let known: BTreeSet<u8> =
                step.pool.iter().copied().filter(|n| established.contains(n) || !out.contains(n)).collect();
            // Nobody that answers is out, and nobody goes out without having failed.
            for n in &out {
                prop_assert!(site.down.contains(n) || site.unknown.contains(n));
                if established.contains(n) && !out_before.contains(n) {
                    prop_assert!(site.down.contains(n), "{n} went without a verdict");
                }
            }
            // G2 and G3: those that go now leave enough, and are not too many at once.
            let gone_now = out.iter().filter(|n| established.contains(n) && !out_before.contains(n)).count();
            let out_known = out.iter().filter(|n| established.contains(n)).count();
            if gone_now > 0 {
                prop_assert!(out_known * 2 <= known.len(), "{out_known} of {} out", known.len());
                prop_assert!(gone_now <= (known.len() / 5).max(1));
            }
            // What is held is told.
            let held = step.pool.iter().filter(|n| site.down.contains(n) && !out.contains(n)).count();
            prop_assert_eq!(hold.map_or(0, |(_, held)| held), held);
            established.extend(step.pool.iter().filter(|n| !out.contains(n)));
            out_before = out;
        }
    }
}
