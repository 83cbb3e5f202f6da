//! `tidegate run`: the load balancer that is this machine, reached without a network.

use async_trait::async_trait;
use tidegate_agent::AgentHandle;
use tidegate_controller::{PublishError, Publisher};
use tidegate_core::desired::DesiredState;
use tidegate_core::ids::LoadBalancerName;
use tidegate_core::protocol::{AgentStatus, ApplyReport};

/// Publishes to the agent in this process.
pub struct LocalPublisher {
    name: LoadBalancerName,
    agent: AgentHandle,
}

impl LocalPublisher {
    /// The load balancer of this name.
    pub const fn new(name: LoadBalancerName, agent: AgentHandle) -> Self {
        Self { name, agent }
    }
}

#[async_trait]
impl Publisher for LocalPublisher {
    fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    async fn push(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
        let refused = |refusal| PublishError::Refused { url: "this process".to_owned(), refusal };
        self.agent.submit(state.clone()).await.map_err(refused)
    }

    async fn status(&self) -> Result<AgentStatus, PublishError> {
        Ok(self.agent.counted_status().await)
    }
}
