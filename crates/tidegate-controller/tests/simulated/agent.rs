//! A load balancer that admits states as a real agent does, behind a network that can do anything.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_controller::{PublishError, Publisher};
use tidegate_core::desired::{Backend, DesiredState};
use tidegate_core::ids::{ListenerName, LoadBalancerName};
use tidegate_core::protocol::{AgentStatus, ApplyReport, EngineHealth, Failure, Live, LiveBackend, Outcome};
use tidegate_core::webhook::{Admission, Admitted};

/// What happens to one push.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It never arrives.
    LosesHook,
    /// It arrives, the answer does not.
    LosesAnswer,
    /// It arrives this much later.
    Delays(Duration),
    /// It arrives twice.
    Repeats,
    /// It arrives, and its apply fails.
    RollsBack(Failure),
}

pub struct Inner {
    admission: Admission,
    pub live: Option<DesiredState>,
    /// Every state that became live, in order.
    pub applied: Vec<DesiredState>,
    pub pushes: usize,
    pub polls: usize,
    pub faults: VecDeque<Fault>,
    /// Nothing gets through.
    pub cut_off: bool,
    /// How long an apply takes.
    pub apply_takes: Duration,
    outstanding: usize,
    pub most_outstanding: usize,
    /// Open connections to each backend; none: this engine cannot tell.
    pub connections: Option<u64>,
}

pub struct FakeAgent {
    name: LoadBalancerName,
    inner: Mutex<Inner>,
}

impl FakeAgent {
    pub fn new(name: &str) -> Self {
        let inner = Inner {
            admission: Admission::new(None),
            live: None,
            applied: Vec::new(),
            pushes: 0,
            polls: 0,
            faults: VecDeque::new(),
            cut_off: false,
            apply_takes: Duration::from_millis(20),
            outstanding: 0,
            most_outstanding: 0,
            connections: None,
        };
        Self { name: LoadBalancerName::parse(name).unwrap(), inner: Mutex::new(inner) }
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// The nodes behind the first listener, ordered by address; draining ones with a `~`.
    pub fn live_nodes(&self) -> Vec<String> {
        let inner = self.inner();
        let Some(pool) = inner.live.as_ref().and_then(|s| s.pools.values().next()) else { return Vec::new() };
        pool.iter().map(|b| if b.is_active() { b.node.to_string() } else { format!("~{}", b.node) }).collect()
    }

    fn unreachable(&self) -> PublishError {
        PublishError::Unreachable { url: format!("fake://{}", self.name), detail: "timed out".into() }
    }

    async fn receive(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
        let admitted = self.inner().admission.admit(state);
        let refused = |refusal| PublishError::Refused { url: format!("fake://{}", self.name), refusal };
        let admitted = admitted.map_err(refused)?;
        let takes = self.inner().apply_takes;
        tokio::time::sleep(takes).await;
        let mut inner = self.inner();
        let newest = inner.admission.newest().unwrap();
        if newest > state.position {
            let live = live_of(&inner);
            return Ok(ApplyReport { outcome: Outcome::Superseded { by: newest }, live, timings: Vec::new() });
        }
        let unchanged = admitted == Admitted::Same || inner.live.as_ref().is_some_and(|l| l.hash == state.hash);
        inner.live = Some(state.clone());
        if !unchanged {
            inner.applied.push(state.clone());
        }
        let outcome = if unchanged { Outcome::Unchanged } else { Outcome::Applied };
        Ok(ApplyReport { outcome, live: live_of(&inner), timings: Vec::new() })
    }

    async fn push_faulty(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
        let (cut_off, fault) = {
            let mut inner = self.inner();
            inner.pushes += 1;
            (inner.cut_off, inner.faults.pop_front())
        };
        if cut_off {
            return Err(self.unreachable());
        }
        match fault {
            None => self.receive(state).await,
            Some(Fault::LosesHook) => Err(self.unreachable()),
            Some(Fault::LosesAnswer) => self.receive(state).await.and_then(|_| Err(self.unreachable())),
            Some(Fault::Delays(time)) => {
                tokio::time::sleep(time).await;
                self.receive(state).await
            }
            Some(Fault::Repeats) => {
                drop(self.receive(state).await);
                self.receive(state).await
            }
            Some(Fault::RollsBack(cause)) => {
                let live = live_of(&self.inner());
                Ok(ApplyReport { outcome: Outcome::RolledBack { cause }, live, timings: Vec::new() })
            }
        }
    }
}

fn backends(inner: &Inner) -> Vec<LiveBackend> {
    let pools = inner.live.iter().flat_map(|state| &state.pools);
    let backends = pools.flat_map(|(listener, pool)| pool.iter().map(move |backend| (listener, backend)));
    let live = |(listener, b): (&ListenerName, &Backend)| LiveBackend {
        listener: listener.clone(),
        node: b.node.clone(),
        address: b.address,
        draining: !b.is_active(),
        connections: inner.connections,
        set_aside: None,
        probe: None,
    };
    backends.map(live).collect()
}

fn live_of(inner: &Inner) -> Option<Live> {
    inner.live.as_ref().map(|s| Live { position: s.position, hash: s.hash })
}

#[async_trait]
impl Publisher for FakeAgent {
    fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    async fn push(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
        {
            let mut inner = self.inner();
            inner.outstanding += 1;
            inner.most_outstanding = inner.most_outstanding.max(inner.outstanding);
        }
        let result = self.push_faulty(state).await;
        self.inner().outstanding -= 1;
        result
    }

    async fn status(&self) -> Result<AgentStatus, PublishError> {
        let mut inner = self.inner();
        inner.polls += 1;
        if inner.cut_off {
            return Err(self.unreachable());
        }
        Ok(AgentStatus {
            version: "0".into(),
            engine: "fake".into(),
            engine_version: None,
            health: EngineHealth::Up,
            live: live_of(&inner),
            pending: inner.admission.newest().filter(|n| live_of(&inner).is_none_or(|l| l.position < *n)),
            last_error: None,
            backends: backends(&inner),
            reloads: inner.applied.len() as u64,
            old_generations: 0,
            drift: None,
            probes: None,
            reload_budget: None,
        })
    }
}
