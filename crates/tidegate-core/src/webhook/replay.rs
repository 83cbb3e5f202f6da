//! Remembers the ids of recent messages, no longer than a message could still pass the clock check.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;

use super::TOLERANCE;
use crate::time::{after, elapsed};

/// The ids seen within the window in which their timestamps are still accepted.
#[derive(Debug, Default)]
pub struct ReplayWindow {
    seen: HashSet<String>,
    order: VecDeque<(Timestamp, String)>,
}

impl ReplayWindow {
    /// Notes an id; false when it was there already.
    pub fn admit(&mut self, id: &str, now: Timestamp) -> bool {
        self.forget_before(now);
        let new = self.seen.insert(id.to_owned());
        if new {
            self.order.push_back((now, id.to_owned()));
        }
        new
    }

    fn forget_before(&mut self, now: Timestamp) {
        // A message may be dated one tolerance ahead of our clock, hence two.
        let window = TOLERANCE * 2;
        while let Some((at, _)) = self.order.front() {
            if elapsed(*at, now) <= window || after(*at, window) >= now {
                break;
            }
            if let Some((_, id)) = self.order.pop_front() {
                self.seen.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_passes_once_and_is_forgotten_when_its_clock_check_would_fail() {
        let mut window = ReplayWindow::default();
        let start = Timestamp::UNIX_EPOCH;
        assert!(window.admit("a", start));
        assert!(!window.admit("a", after(start, TOLERANCE * 2)));
        assert!(window.admit("a", after(start, TOLERANCE * 2 + Duration::from_secs(1))));
        assert_eq!(window.seen.len(), 1);
    }
}
