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

/// How many of a set seem to fail, beside how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Everyone who served lately.
    pub base: usize,
    /// Those of them that are out already.
    pub out: usize,
    /// Those of them that went out within the window of G3.
    pub recent: usize,
    /// Those that would go now.
    pub falling: usize,
}

impl Loss {
    /// Whether nobody would be left: an observation about everyone is one about the observer.
    pub const fn is_of_all(&self) -> bool {
        self.base > 1 && self.out + self.falling >= self.base
    }
}

/// Who may go of those that seem to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// This many.
    pub may_go: usize,
    /// The guard that holds the others, and why.
    pub held: Option<(Guard, String)>,
}

impl Ruling {
    /// Tells, asked about one after the other, who of those that `fall` stays: all after the first that may go.
    pub fn stays<T>(&self, falls: impl Fn(&T) -> bool) -> impl FnMut(&T) -> bool {
        let mut left = self.may_go;
        move |one| {
            let goes = falls(one) && left > 0;
            left -= usize::from(goes);
            falls(one) && !goes
        }
    }
}

impl Limits {
    /// How much of a loss is let happen. `doubted`: whether all seemed to fail a moment ago, and nothing has shown otherwise yet.
    pub fn judge(&self, loss: Loss, doubted: bool) -> Ruling {
        if doubted && !self.overridden.contains(&Guard::AllFailing) {
            let reason = if loss.is_of_all() {
                self.reason(Guard::AllFailing, loss)
            } else {
                "all seemed to fail at once a moment ago; two complete LISTs have to show otherwise first".to_owned()
            };
            return Ruling { may_go: 0, held: Some((Guard::AllFailing, reason)) };
        }
        let (may_go, guard) = self.allowance(loss);
        Ruling { may_go, held: guard.map(|guard| (guard, self.reason(guard, loss))) }
    }

    fn allowance(&self, loss: Loss) -> (usize, Option<Guard>) {
        let Loss { base, out, recent, falling } = loss;
        let bounds = [
            (Guard::AllFailing, if loss.is_of_all() { 0 } else { falling }),
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

    fn reason(&self, guard: Guard, loss: Loss) -> String {
        let (base, out) = (loss.base, loss.out + loss.falling);
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
        let Ruling { may_go, held } = Limits::default().judge(Loss { base, out, recent, falling }, false);
        (may_go, held.map(|(guard, _)| guard))
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
        let ten = |falling| Loss { base: 10, out: 0, recent: 0, falling };
        assert_eq!(lifted(&[Guard::Velocity]).allowance(ten(7)), (5, Some(Guard::Half)));
        assert_eq!(lifted(&[Guard::Velocity, Guard::Half]).allowance(ten(7)), (7, None));
        let all = [Guard::Velocity, Guard::Half, Guard::AllFailing];
        assert_eq!(lifted(&all).allowance(ten(10)), (9, Some(Guard::NeverEmpty)));
    }

    #[test]
    fn while_it_is_doubted_nobody_goes_unless_that_is_overridden() {
        let one = Loss { base: 10, out: 0, recent: 0, falling: 1 };
        let held = |ruling: &Ruling| ruling.held.as_ref().map(|(guard, _)| *guard);
        let ruling = Limits::default().judge(one, true);
        assert_eq!((ruling.may_go, held(&ruling)), (0, Some(Guard::AllFailing)));
        let lifted = Limits { overridden: [Guard::AllFailing].into(), ..Limits::default() };
        assert_eq!(lifted.judge(one, true), Ruling { may_go: 1, held: None });
    }

    #[test]
    fn the_first_go_and_the_others_stay() {
        let ruling = Ruling { may_go: 2, held: None };
        let mut stays = ruling.stays(|n: &u8| n % 2 == 1);
        let answers: Vec<bool> = (1..=8).map(|n| stays(&n)).collect();
        assert_eq!(answers, [false, false, false, false, true, false, true, false]);
    }
}
