//! A load balancer that is ahead of the log: the store was lost or restored from an old backup, or
//! another controller drives it. Once after each start the controller opens a term above it.

use tidegate_core::ids::LoadBalancerName;
use tidegate_core::position::{Position, Term};
use tracing::warn;

/// Decides, at most once, to go past what a load balancer has.
#[derive(Debug, Default)]
pub(super) struct Adoption {
    done: bool,
}

impl Adoption {
    /// The term to open. `may_lead` is whether what would be published rests on a complete LIST and
    /// leaves no listener without a node: a set from an old backup must not overrule a newer one.
    ///
    /// Only once: two controllers that each went past the other would do so for ever. The second
    /// time it is for a person to say which of them is right.
    pub(super) fn term_above(
        &mut self,
        balancer: &LoadBalancerName,
        theirs: Position,
        ours: Position,
        may_lead: bool,
    ) -> Option<Term> {
        if self.done || theirs < ours || !may_lead {
            return None;
        }
        self.done = true;
        let term = theirs.term.next();
        warn!(
            %balancer, %theirs, %ours, %term,
            "a load balancer is ahead of the store (lost, or restored from a backup?); opening a term above it"
        );
        Some(term)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::position::Revision;

    use super::*;

    #[test]
    fn it_goes_past_a_load_balancer_once_and_only_with_a_fresh_set() {
        let at = |term, revision| Position { term: Term(term), revision: Revision(revision) };
        let lb = LoadBalancerName::parse("lb").unwrap();
        let mut adoption = Adoption::default();
        assert_eq!(adoption.term_above(&lb, at(7, 90), at(1, 3), false), None, "not on an old set");
        assert_eq!(adoption.term_above(&lb, at(1, 2), at(1, 3), true), None, "not behind");
        assert_eq!(adoption.term_above(&lb, at(7, 90), at(1, 3), true), Some(Term(8)));
        assert_eq!(adoption.term_above(&lb, at(9, 90), at(8, 4), true), None, "never twice");
    }
}
