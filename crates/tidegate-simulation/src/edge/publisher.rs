//! The way from one controller to one agent.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_controller::{PublishError, Publisher};
use tidegate_core::desired::DesiredState;
use tidegate_core::ids::LoadBalancerName;
use tidegate_core::protocol::{AgentStatus, ApplyReport};
use tokio::time::sleep;

use crate::agent::receive;
use crate::caller::Caller;
use crate::fault::Fault;
use crate::parties::AgentId;

pub(super) struct SimulatedPublisher {
    caller: Caller,
    agent: AgentId,
    name: LoadBalancerName,
}

impl SimulatedPublisher {
    pub(super) fn new(caller: Caller, agent: AgentId) -> Self {
        Self { caller, agent, name: agent.name() }
    }

    fn unreachable(&self) -> PublishError {
        PublishError::Unreachable { url: self.name.to_string(), detail: "simulated".into() }
    }

    fn hears(&self) {
        let mut state = self.caller.world.state();
        let (oracle, moment) = state.judge();
        oracle.hears(&self.caller.life.holder, self.agent, moment.now);
    }

    /// A copy of the hook that takes its own way: a repetition, or one that is late.
    fn send_copy(&self, state: &Arc<DesiredState>, slowest: u64) {
        let (world, agent, state) = (self.caller.world.clone(), self.agent, state.clone());
        let late = world.state().network.seconds(0, slowest);
        tokio::spawn(async move {
            sleep(late).await;
            drop(receive(world, agent, state).await);
        });
    }
}

#[async_trait]
impl Publisher for SimulatedPublisher {
    fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    async fn push(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
        let (repeats, late) = {
            let mut world = self.caller.world.state();
            let (oracle, mut moment) = world.judge();
            oracle.pushes(&mut moment, &self.caller.life.holder, self.agent, state);
            let late = world.weather.has(Fault::HooksLate { agent: self.agent });
            (world.weather.has(Fault::HooksRepeat { agent: self.agent }), late && world.network.one_in(2))
        };
        let state = Arc::new(state.clone());
        if repeats {
            self.send_copy(&state, 60);
        }
        if late {
            self.send_copy(&state, 600);
        }
        let replica = self.caller.life.replica;
        let work = receive(self.caller.world.clone(), self.agent, state);
        let agent = self.agent;
        let lost = crate::trip::Fate::Lost;
        let answer = self.caller.travel(
            |world| {
                let trip = world.agent_trip(replica, agent);
                if late { crate::trip::Trip { fate: lost, ..trip } } else { trip }
            },
            work,
        );
        let answer = answer.await.ok_or_else(|| self.unreachable())?;
        self.hears();
        answer.map_err(|refusal| PublishError::Refused { url: self.name.to_string(), refusal })
    }

    async fn status(&self) -> Result<AgentStatus, PublishError> {
        let (replica, agent) = (self.caller.life.replica, self.agent);
        let answer = self.caller.call(
            |state| state.agent_trip(replica, agent),
            move |state| {
                let now = state.now();
                state.agents.get(&agent).map(|a| a.status(now))
            },
        );
        let status = answer.await.flatten().ok_or_else(|| self.unreachable())?;
        self.hears();
        Ok(status)
    }
}
