//! What guards hold back is told once: in the log, and by Events on a few of the nodes.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::guard::{Guard, Hold};
use tidegate_core::ids::{ListenerName, NodeUid};
use tracing::{info, warn};

/// Nodes that are named in the log, and told by Events: when thousands are held, the API server has other worries.
const NAMED: usize = 5;

/// Which guard holds which node, behind one listener or altogether.
type Told = (Guard, NodeUid, Option<ListenerName>);

fn told(hold: &Hold) -> Told {
    (hold.guard, hold.uid.clone(), hold.listener.clone())
}

/// The holds that were told.
#[derive(Debug, Default)]
pub(super) struct Holds {
    told: BTreeSet<Told>,
}

impl Holds {
    /// Logs what is new and what is over; answers a few of the new ones.
    pub(super) fn tell<'a>(&mut self, holds: &'a [Hold]) -> Vec<&'a Hold> {
        let now: BTreeSet<Told> = holds.iter().map(told).collect();
        let before = std::mem::replace(&mut self.told, now);
        let mut new: BTreeMap<Guard, Vec<&Hold>> = BTreeMap::new();
        for hold in holds.iter().filter(|h| !before.contains(&told(h))) {
            new.entry(hold.guard).or_default().push(hold);
        }
        for (guard, holds) in &new {
            let nodes: Vec<&str> = holds.iter().take(NAMED).map(|hold| hold.node.as_str()).collect();
            let reason = holds.first().map(|hold| hold.reason.as_str()).unwrap_or_default();
            warn!(%guard, count = holds.len(), ?nodes, reason, "a guard holds nodes back");
        }
        for guard in guards(&before).difference(&guards(&self.told)) {
            info!(%guard, "the guard holds nothing back any more");
        }
        new.into_values().flat_map(|holds| holds.into_iter().take(NAMED)).collect()
    }
}

fn guards(held: &BTreeSet<Told>) -> BTreeSet<Guard> {
    held.iter().map(|(guard, ..)| *guard).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_core::eligibility::Rule;
    use tidegate_core::ids::NodeName;

    use super::*;

    fn hold(n: usize) -> Hold {
        Hold {
            guard: Guard::Half,
            uid: NodeUid::parse(format!("u-{n}")).unwrap(),
            node: NodeName::parse(format!("w{n}")).unwrap(),
            rule: Rule::NotReady,
            reason: "half of them stay".to_owned(),
            listener: None,
        }
    }

    #[test]
    fn each_is_told_once_and_of_many_a_few() {
        let mut told = Holds::default();
        let many: Vec<Hold> = (0..100).map(hold).collect();
        assert_eq!(told.tell(&many).len(), NAMED);
        assert_eq!(told.tell(&many).len(), 0);
        assert_eq!(told.tell(&[]).len(), 0);
        assert_eq!(told.tell(&many[..2]).len(), 2, "it is held again");
    }
}
