//! A whole controller in virtual time, between a fake cluster and fake load balancers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tidegate_controller::{
    ApiState, Clock, Controller, ControllerError, ControllerSettings, LeaseClient, NodeSource, Publisher, Seams,
};
use tidegate_core::desired::Listener;
use tidegate_core::finalizer::FinalizerPolicy;
use tidegate_core::ids::{ClusterName, ListenerName, NodeName, NodeUid};
use tidegate_core::lease::LeasePolicy;
use tidegate_core::log::Phase;
use tidegate_core::node::{AddressType, Condition, ConditionStatus, Node, NodeAddress};
use tidegate_core::policy::NodePolicy;
use tidegate_core::status::ClusterStatus;
use tidegate_core::time::after;
use tidegate_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::agent::FakeAgent;
use crate::cluster::FakeCluster;
use crate::pods::FakePods;
use crate::replica::{FakeLease, FakeNodes};
use crate::store::MemoryStore;

/// Wall-clock time that goes with tokio's virtual time.
#[derive(Clone)]
pub struct TestClock {
    start: Instant,
    /// How often it was looked at in one moment.
    looks: Arc<Mutex<(Instant, u32)>>,
}

impl Clock for TestClock {
    /// Panics for a controller that turns in a circle: virtual time would never go on.
    fn now(&self) -> Timestamp {
        let mut looks = self.looks.lock().unwrap();
        *looks = if looks.0 == Instant::now() { (looks.0, looks.1 + 1) } else { (Instant::now(), 0) };
        assert!(looks.1 < 100_000, "something turns in a circle, without that time goes on");
        after(epoch(), self.start.elapsed())
    }
}

/// When every test begins.
pub fn epoch() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

/// A worker that was Ready long before the test began; its uid is `u-<name>`.
pub fn worker(node: &str, address: &str) -> Node {
    Node {
        name: name(node),
        uid: NodeUid::parse(format!("u-{node}")).unwrap(),
        created: Some(Timestamp::from_second(1_700_000_000).unwrap()),
        deleting: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        finalizer: false,
        taints: BTreeSet::new(),
        unschedulable: false,
        addresses: vec![NodeAddress { kind: AddressType::InternalIp, address: address.parse().unwrap() }],
        hostname: Some(node.into()),
        ready: Some(ready(ConditionStatus::True, Timestamp::from_second(1_700_000_000).unwrap())),
        network_unavailable: None,
    }
}

pub fn workers(count: u8) -> Vec<Node> {
    (1..=count).map(|n| worker(&format!("w{n}"), &format!("10.0.0.{n}"))).collect()
}

pub fn ready(status: ConditionStatus, since: Timestamp) -> Condition {
    Condition { status, reason: "Kubelet".into(), message: "says so".into(), since }
}

pub fn not_ready(node: &Node, since: Timestamp) -> Node {
    Node { ready: Some(ready(ConditionStatus::Unknown, since)), ..node.clone() }
}

/// What the cluster autoscaler does to a node that it will remove.
pub fn announce_end(node: &mut Node) {
    node.taints.insert("ToBeDeletedByClusterAutoscaler".into());
}

pub fn listener() -> Listener {
    Listener::tcp(ListenerName::parse("http").unwrap(), SocketAddr::from(([0, 0, 0, 0], 80)), 80)
}

pub fn settings(holder: &str) -> ControllerSettings {
    ControllerSettings {
        cluster: ClusterName::parse("test").unwrap(),
        policy: NodePolicy::default(),
        listeners: vec![listener()],
        resync: seconds(60),
        holder: holder.to_owned(),
        // Most tests count writes and events, and have nothing to do with it.
        finalizer: FinalizerPolicy { enabled: false, ..FinalizerPolicy::default() },
        lease: LeasePolicy::default(),
    }
}

/// Everything outside the controller, which outlives it.
pub struct World {
    pub cluster: Arc<FakeCluster>,
    pub store: Arc<MemoryStore>,
    pub agents: Vec<Arc<FakeAgent>>,
    pub clock: TestClock,
    pub settings: ControllerSettings,
    pub nodes: FakeNodes,
    pub pods: FakePods,
    /// None: each controller leads, always.
    pub lease: Option<FakeLease>,
}

/// A controller that runs in a [`World`].
pub struct Running {
    pub api: ApiState,
    pub registry: Arc<Registry>,
    shutdown: CancellationToken,
    pause: watch::Sender<bool>,
    task: JoinHandle<Result<(), ControllerError>>,
}

impl World {
    pub fn new(nodes: Vec<Node>) -> Self {
        let start = Instant::now();
        let clock = TestClock { start, looks: Arc::new(Mutex::new((start, 0))) };
        let cluster = Arc::new(FakeCluster::new(nodes));
        Self {
            nodes: FakeNodes::new(cluster.clone()),
            pods: FakePods::default(),
            lease: None,
            cluster,
            store: Arc::new(MemoryStore::default()),
            agents: vec![Arc::new(FakeAgent::new("lb-1"))],
            clock,
            settings: settings("one"),
        }
    }

    pub fn start(&self) -> Running {
        self.start_as(self.settings.clone())
    }

    pub fn start_as(&self, settings: ControllerSettings) -> Running {
        self.start_on(self.store.clone(), settings)
    }

    pub fn start_on(&self, store: Arc<dyn Store>, settings: ControllerSettings) -> Running {
        let mut registry = Registry::default();
        let seams = self.seams(store);
        let controller = Controller::new(settings, seams, &mut registry);
        let (api, shutdown) = (controller.api(), CancellationToken::new());
        let (pause, paused) = watch::channel(false);
        let task = tokio::spawn(Pausable::run(controller.run(shutdown.clone()), paused));
        Running { api, registry: Arc::new(registry), shutdown, pause, task }
    }

    fn seams(&self, store: Arc<dyn Store>) -> Seams {
        let source: Arc<dyn NodeSource> = self.cluster.clone();
        Seams {
            store,
            source,
            follows: Arc::new(self.pods.clone()),
            publishers: self.agents.iter().map(|a| a.clone() as Arc<dyn Publisher>).collect(),
            clock: Arc::new(self.clock.clone()),
            nodes: Arc::new(self.nodes.clone()),
            election: self.lease.clone().map(|lease| Arc::new(lease) as Arc<dyn LeaseClient>),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits, in virtual time, until every load balancer serves exactly these nodes, draining ones
    /// marked with a `~`. Answers how long it took.
    pub async fn until_live(&self, nodes: &[&str], limit: Duration) -> Duration {
        let live = || self.agents.iter().map(|a| a.live_nodes()).collect::<Vec<_>>();
        eventually(limit, || live().iter().all(|l| l == nodes), || format!("{:?}, wanted {nodes:?}", live())).await
    }

    pub fn phase(&self, node: &str) -> Phase {
        let state = self.store.state();
        let member = state.membership.members().values().find(|m| m.node.as_str() == node);
        Phase::of(member)
    }
}

impl Running {
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The value of the one sample that begins with this text.
    pub fn metric(&self, sample: &str) -> f64 {
        let metrics = self.metrics();
        let line = metrics.lines().find(|l| l.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no sample {sample} in\n{metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn status(&self) -> ClusterStatus {
        self.api.status().expect("a term should be open")
    }

    /// As SIGKILL: nothing of it is ever polled again.
    pub fn kill(self) {
        self.task.abort();
    }

    /// As SIGSTOP and SIGCONT: nothing of it runs, and time goes on.
    pub fn pause(&self, paused: bool) {
        self.pause.send_replace(paused);
    }

    pub async fn stop(self) -> Result<(), ControllerError> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }

    /// How it ends by itself.
    pub async fn ended(self) -> Result<(), ControllerError> {
        tokio::time::timeout(seconds(300), self.task).await.expect("it should have ended").unwrap()
    }
}

/// Polls in virtual time, with a deadline; answers how long it took.
pub async fn eventually(limit: Duration, mut holds: impl FnMut() -> bool, state: impl Fn() -> String) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {}", state());
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// A future that is not polled while it is paused.
struct Pausable;

impl Pausable {
    async fn run<T>(future: impl Future<Output = T>, mut paused: watch::Receiver<bool>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            drop(paused.wait_for(|paused| !paused).await);
            tokio::select! {
                biased;
                Ok(_) = paused.wait_for(|paused| *paused) => {}
                value = &mut future => return value,
            }
        }
    }
}
