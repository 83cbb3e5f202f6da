//! The seam to a load balancer: where desired states go and live ones are read.

mod http;
mod tls;

use async_trait::async_trait;
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::ids::LoadBalancerName;
use tidegate_core::protocol::{AgentStatus, ApplyReport, Refusal};

pub use http::{HttpPublisher, HttpPublisherSettings};
pub use tls::PublisherSetupError;

/// One load balancer machine.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Its configured name.
    fn name(&self) -> &LoadBalancerName;

    /// Sends the whole desired state; answers when the agent has applied it, or why it has not.
    async fn push(&self, state: &DesiredState) -> Result<ApplyReport, PublishError>;

    /// Asks what is live.
    async fn status(&self) -> Result<AgentStatus, PublishError>;
}

/// Why an agent has no new state, or is not known to have it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The agent looked at the message and refused it.
    #[error("the agent at {url} refused: {refusal}")]
    Refused {
        /// Where.
        url: String,
        /// Why.
        refusal: Refusal,
    },
    /// No answer: nothing is known about what the agent did.
    #[error(
        "the agent at {url} cannot be reached: {detail}; cure: check that `tidegate agent` runs there, its agent.listen, and what lies between"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What the client says.
        detail: String,
    },
    /// An answer that no agent gives.
    #[error("what answers at {url} is not a tidegate agent (HTTP {status}): {detail}; cure: check loadBalancers[].url")]
    Protocol {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// What is wrong with the answer.
        detail: String,
    },
}

impl PublishError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Refused { refusal, .. } => refusal.class(),
            Self::Unreachable { .. } | Self::Protocol { status: 500.., .. } => ErrorClass::Transient,
            Self::Protocol { .. } => ErrorClass::Permanent,
        }
    }

    /// The word used in metric labels.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.as_str(),
            Self::Unreachable { .. } => "unreachable",
            Self::Protocol { .. } => "protocol",
        }
    }
}
