//! Whether an agent takes a desired state: right cluster, in order, whole, never empty.

use crate::desired::DesiredState;
use crate::hash::ContentHash;
use crate::ids::ClusterName;
use crate::position::Position;
use crate::protocol::Refusal;

/// What an agent has, against which every state is held.
#[derive(Clone, Debug)]
pub struct Admission {
    cluster: Option<ClusterName>,
    newest: Option<(Position, ContentHash)>,
}

/// How an admitted state relates to what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A position that was not there before.
    Newer,
    /// The very state that was there: a repeated push.
    Same,
}

impl Admission {
    /// An agent bound to a cluster by its configuration, or to the first cluster that it hears of.
    pub const fn new(cluster: Option<ClusterName>) -> Self {
        Self { cluster, newest: None }
    }

    /// The newest admitted position.
    pub fn newest(&self) -> Option<Position> {
        self.newest.map(|(position, _)| position)
    }

    /// Admits a state, or says why not; a refused state changes nothing.
    pub fn admit(&mut self, state: &DesiredState) -> Result<Admitted, Refusal> {
        self.check_content(state)?;
        if let Some((current, hash)) = self.newest {
            if state.position < current {
                return Err(Refusal::OlderPosition { offered: state.position, current });
            }
            if state.position == current {
                return if state.hash == hash {
                    Ok(Admitted::Same)
                } else {
                    let (position, offered) = (state.position, state.hash);
                    Err(Refusal::ContentConflict { position, offered, current: hash })
                };
            }
        }
        self.cluster.get_or_insert_with(|| state.cluster.clone());
        self.newest = Some((state.position, state.hash));
        Ok(Admitted::Newer)
    }

    fn check_content(&self, state: &DesiredState) -> Result<(), Refusal> {
        if let Some(ours) = self.cluster.as_ref().filter(|ours| **ours != state.cluster) {
            return Err(Refusal::OtherCluster { ours: ours.to_string(), theirs: state.cluster.to_string() });
        }
        let computed = state.content_hash();
        if computed != state.hash {
            let detail = format!("its content hashes to {}, it says {}", computed.short(), state.hash.short());
            return Err(Refusal::Malformed { detail });
        }
        let starved = state.starved();
        if !starved.is_empty() {
            return Err(Refusal::WouldBeEmpty { listeners: starved.into_iter().cloned().collect() });
        }
        Ok(())
    }
}
