//! The ingress that listener `web` follows: a pod on each node, as of a DaemonSet, and who watches them.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_controller::FollowEvent;
use tidegate_core::follow::{Follow, Instance, InstanceState, Target};
use tidegate_core::ids::NodeName;
use tidegate_core::selector::Selector;
use tokio::sync::mpsc::UnboundedSender;

use crate::dice::Dice;
use crate::happening::any_slot;
use crate::parties::{ReplicaId, SLOTS, Slot};
use crate::watchers::Watchers;
use crate::world::State;

/// What listener `web` follows.
pub(crate) fn ingress() -> Follow {
    let selector = Selector::parse("app=ingress").expect("a label and its value are a selector");
    Follow { namespace: "ingress".into(), target: Target::Pods(selector) }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pod {
    name: String,
    state: InstanceState,
}

/// What the API server keeps of them.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    by_node: BTreeMap<NodeName, Pod>,
    watchers: Watchers<FollowEvent>,
    born: u32,
}

/// One thing that happens to the pod of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PodHappening {
    /// It is deleted, and goes on for a while.
    Ends(Slot),
    /// It is no more.
    Gone(Slot),
    /// Its successor is there, and not Ready yet; nothing when there is one.
    Starts(Slot),
    /// It passes its readiness probe, or not.
    Ready(Slot, bool),
}

/// What happens to the pods in a run, in its order.
pub(crate) fn plan_pods(dice: &mut Dice, end: Duration) -> Vec<(Duration, PodHappening)> {
    let mut plan = Vec::new();
    let mut at = Duration::from_secs(40);
    while at < end {
        at += dice.seconds(30, 180);
        let slot = any_slot(dice);
        match dice.below(8) {
            0..=3 => restart(dice, slot, at, &mut plan),
            4 => {
                // The whole DaemonSet, one pod after the other.
                for slot in (0..SLOTS).map(Slot) {
                    restart(dice, slot, at, &mut plan);
                    at += dice.seconds(1, 12);
                }
            }
            5 => {
                // Everywhere at once: a new image that does not start.
                let back = at + dice.seconds(5, 90);
                plan.extend((0..SLOTS).map(Slot).flat_map(|slot| unready(slot, at, back)));
            }
            _ => {
                let back = at + dice.seconds(1, 60);
                plan.extend(unready(slot, at, back));
            }
        }
    }
    plan.retain(|(at, _)| *at < end);
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn unready(slot: Slot, at: Duration, back: Duration) -> [(Duration, PodHappening); 2] {
    [(at, PodHappening::Ready(slot, false)), (back, PodHappening::Ready(slot, true))]
}

/// As a DaemonSet with `maxUnavailable` does it: the successor comes once the pod is no more.
fn restart(dice: &mut Dice, slot: Slot, at: Duration, plan: &mut Vec<(Duration, PodHappening)>) {
    let gone = at + dice.seconds(1, 40);
    let ready = gone + dice.seconds(1, 20);
    plan.extend([
        (at, PodHappening::Ends(slot)),
        (gone, PodHappening::Gone(slot)),
        (gone, PodHappening::Starts(slot)),
        (ready, PodHappening::Ready(slot, true)),
    ]);
}

impl Pods {
    /// What a LIST answers.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<Instance>> {
        self.by_node.iter().map(|(node, pod)| (pod.name.clone(), vec![instance(node, pod)])).collect()
    }

    pub(crate) fn watch(&mut self, replica: ReplicaId, events: UnboundedSender<FollowEvent>) {
        self.watchers.watch(replica, events);
    }

    /// How the pod of each node is.
    pub(crate) fn states(&self) -> BTreeMap<NodeName, InstanceState> {
        self.by_node.iter().map(|(node, pod)| (node.clone(), pod.state)).collect()
    }
}

impl State {
    /// Lets it happen; what cannot happen now does not.
    pub(crate) fn happen_to_pods(&mut self, happening: PodHappening) {
        self.oracle.counts.pod_happenings += 1;
        match happening {
            PodHappening::Ends(slot) => self.turn_pod(&slot.name(), InstanceState::Ending),
            PodHappening::Gone(slot) => self.remove_pod(&slot.name()),
            PodHappening::Starts(slot) => self.start_pod(&slot.name(), InstanceState::NotReady),
            PodHappening::Ready(slot, ready) => self.ready_pod(&slot.name(), ready),
        }
    }

    /// A pod starts on a node that exists and has none.
    pub(crate) fn start_pod(&mut self, node: &NodeName, state: InstanceState) {
        if !self.cluster.nodes().contains_key(node) || self.pods.by_node.contains_key(node) {
            return;
        }
        self.pods.born += 1;
        let pod = Pod { name: format!("ingress/{node}-{}", self.pods.born), state };
        self.put_pod(node, pod);
    }

    /// The readiness of a pod that nobody ends: its own, or that of its node.
    pub(crate) fn ready_pod(&mut self, node: &NodeName, ready: bool) {
        self.turn_pod(node, if ready { InstanceState::Ready } else { InstanceState::NotReady });
    }

    /// The pod is no more, or its node.
    pub(crate) fn remove_pod(&mut self, node: &NodeName) {
        if let Some(pod) = self.pods.by_node.remove(node) {
            self.note(format_args!("pod {} is gone", pod.name));
            self.tell_pod_watchers(&FollowEvent::Deleted { object: pod.name });
        }
    }

    /// What has an end has it.
    fn turn_pod(&mut self, node: &NodeName, state: InstanceState) {
        let Some(pod) = self.pods.by_node.get(node) else { return };
        if pod.state != InstanceState::Ending && pod.state != state {
            self.put_pod(node, Pod { state, ..pod.clone() });
        }
    }

    fn put_pod(&mut self, node: &NodeName, pod: Pod) {
        self.note(format_args!("pod {} {:?}", pod.name, pod.state));
        let event = FollowEvent::Applied { object: pod.name.clone(), instances: vec![instance(node, &pod)] };
        self.pods.by_node.insert(node.clone(), pod);
        self.tell_pod_watchers(&event);
    }

    fn tell_pod_watchers(&mut self, event: &FollowEvent) {
        self.pods.watchers.tell(event, &self.weather);
        let (states, now) = (self.pods.states(), self.now());
        self.oracle.sees_pods(&states, now);
    }

    /// Nobody can tell who should carry a listener of which no pod is Ready on a node that is well.
    pub(crate) fn ensure_some_pod_is_ready(&mut self) {
        let now = self.now();
        let well = self.names(&self.oracle.well_for(Duration::ZERO, now));
        if well.iter().any(|node| self.pods.by_node.get(node).is_some_and(|pod| pod.state == InstanceState::Ready)) {
            return;
        }
        for node in &well {
            self.remove_pod(node);
            self.start_pod(node, InstanceState::Ready);
        }
    }
}

fn instance(node: &NodeName, pod: &Pod) -> Instance {
    Instance { name: pod.name.clone(), node: node.clone(), state: pod.state, since: None }
}
