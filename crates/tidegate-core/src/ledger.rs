//! Since when something has been so: the one piece of memory that verdicts and holds need.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Remembers when each key was first seen in an unbroken row of updates.
#[derive(Clone, Debug)]
pub struct Ledger<K> {
    since: BTreeMap<K, Timestamp>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { since: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Ledger<K> {
    /// Notes everything that is so at `now`; what is not among it is forgotten. Answers what is new.
    pub fn update(&mut self, current: impl IntoIterator<Item = K>, now: Timestamp) -> Vec<K> {
        let mut next = BTreeMap::new();
        let mut fresh = Vec::new();
        for key in current {
            let since = self.since.get(&key).copied();
            if since.is_none() {
                fresh.push(key.clone());
            }
            next.insert(key, since.unwrap_or(now));
        }
        self.since = next;
        fresh
    }

    /// Since when this has been so.
    pub fn since(&self, key: &K) -> Option<Timestamp> {
        self.since.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::after;

    #[test]
    fn an_unbroken_row_keeps_its_start() {
        let at = |s| after(Timestamp::UNIX_EPOCH, Duration::from_secs(s));
        let mut ledger = Ledger::default();
        assert_eq!(ledger.update(["a"], at(1)), ["a"]);
        assert_eq!(ledger.update(["a", "b"], at(2)), ["b"]);
        assert_eq!((ledger.since(&"a"), ledger.since(&"b")), (Some(at(1)), Some(at(2))));
        ledger.update(["b"], at(3));
        ledger.update(["a"], at(4));
        assert_eq!((ledger.since(&"a"), ledger.since(&"b")), (Some(at(4)), None));
    }
}
