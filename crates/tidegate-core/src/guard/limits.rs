//! How many may go involuntarily: guards G1 to G4 as arithmetic, the same in the controller and in every agent.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Guard;
use crate::time::human;

/// The bounds of involuntary removals (`docs/eligibility.md`, guards).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// G2: this share of the recent stable size stays, in percent.
    pub keep_percent: usize,
    /// G3: this share may go within the window, in percent; one always may.
    pub velocity_percent: usize,
    /// G3: the window.
    pub window: Duration,
    /// Guards that an operator has overridden for now.
    pub overridden: BTreeSet<Guard>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep_percent: 50,
            velocity_percent: 20,
            window: Duration::from_secs(5 * 60),
            overridden: BTreeSet::new(),
        }
    }
}

impl Limits {
    /// How many of `falling` may go, and the guard that holds the others. `base`: everyone who served lately; `out`: those
    /// of them that are out already; `recent`: those of them that went out within the window.
    pub fn allowance(&self, base: usize, out: usize, recent: usize, falling: usize) -> (usize, Option<Guard>) {
        let all = base > 1 && out + falling >= base;
        let bounds = [
            // An observation about everyone is one about the observer.
            (Guard::AllFailing, if all { 0 } else { falling }),
            (Guard::NeverEmpty, base.saturating_sub(out + 1)),
            (Guard::Half, (base - self.kept(base)).saturating_sub(out)),
            (Guard::Velocity, self.pace(base).saturating_sub(recent)),
        ];
        let standing = bounds.into_iter().filter(|(guard, _)| !self.overridden.contains(guard));
        match standing.min_by_key(|(_, bound)| *bound) {
            Some((guard, bound)) if bound < falling => (bound, Some(guard)),
            _ => (falling, None),
        }
    }

    /// Why a guard holds: `out` of `base` are out or should be.
    pub fn reason(&self, guard: Guard, base: usize, out: usize) -> String {
        match guard {
            Guard::AllFailing => {
                format!("all {base} seem to fail at once, which says more about the observer than about them")
            }
            Guard::NeverEmpty => "no active node would be left".to_owned(),
            Guard::Half => {
                format!(
                    "{out} of {base} seem to fail, and at least {} of them stay ({} %)",
                    self.kept(base),
                    self.keep_percent
                )
            }
            Guard::Velocity => {
                let window = human(self.window);
                format!("{out} of {base} seem to fail, and at most {} of them may go in {window}", self.pace(base))
            }
            Guard::Fresh | Guard::LargeDrop => String::new(),
        }
    }

    fn kept(&self, base: usize) -> usize {
        (base * self.keep_percent).div_ceil(100).min(base)
    }

    fn pace(&self, base: usize) -> usize {
        (base * self.velocity_percent / 100).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(base: usize, out: usize, recent: usize, falling: usize) -> (usize, Option<Guard>) {
        Limits::default().allowance(base, out, recent, falling)
    }

    #[test]
    fn the_guards_hold_what_the_design_says() {
        assert_eq!(allowed(10, 0, 0, 1), (1, None));
        assert_eq!(allowed(10, 0, 0, 3), (2, Some(Guard::Velocity)));
        assert_eq!(allowed(10, 2, 2, 1), (0, Some(Guard::Velocity)));
        assert_eq!(allowed(10, 2, 0, 1), (1, None), "the earlier ones are older than the window");
        assert_eq!(allowed(10, 5, 0, 1), (0, Some(Guard::Half)));
        assert_eq!(allowed(10, 0, 0, 10), (0, Some(Guard::AllFailing)));
        assert_eq!(allowed(10, 9, 0, 1), (0, Some(Guard::AllFailing)));
        assert_eq!(allowed(2, 0, 0, 1), (1, None));
        assert_eq!(allowed(2, 1, 1, 1), (0, Some(Guard::AllFailing)));
        assert_eq!(allowed(1, 0, 0, 1), (0, Some(Guard::NeverEmpty)));
        assert_eq!(allowed(3, 1, 0, 1), (0, Some(Guard::Half)));
    }

    #[test]
    fn an_override_lifts_one_guard_and_no_other() {
        let lifted = |guards: &[Guard]| Limits { overridden: guards.iter().copied().collect(), ..Limits::default() };
        assert_eq!(lifted(&[Guard::Velocity]).allowance(10, 0, 0, 7), (5, Some(Guard::Half)));
        assert_eq!(lifted(&[Guard::Velocity, Guard::Half]).allowance(10, 0, 0, 7), (7, None));
        let all = [Guard::Velocity, Guard::Half, Guard::AllFailing];
        assert_eq!(lifted(&all).allowance(10, 0, 0, 10), (9, Some(Guard::NeverEmpty)));
    }
}
