//! When each target is asked next: spread over the interval, so that thousands neither come in bursts nor starve each other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// A slot of the prober, in the life that it had when it was scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn {
    pub slot: usize,
    pub life: u64,
}

/// Turns in the order of their times.
#[derive(Debug, Default)]
pub struct Schedule {
    turns: BinaryHeap<Reverse<(Instant, Turn)>>,
    seed: RandomState,
    count: u64,
}

impl Schedule {
    /// At some moment of the first interval, another one for each target.
    pub fn somewhere_in(&mut self, interval: Duration, turn: Turn, now: Instant) {
        let phase = interval.mul_f64(self.fraction(&turn));
        self.turns.push(Reverse((now + phase, turn)));
    }

    /// This long after `start`, give or take 5 %: targets that began together drift apart.
    pub fn after(&mut self, wait: Duration, turn: Turn, start: Instant) {
        self.count = self.count.wrapping_add(1);
        let fraction = self.fraction(&(turn, self.count));
        self.turns.push(Reverse((start + wait.mul_f64(0.95 + fraction / 10.0), turn)));
    }

    /// As soon as possible.
    pub fn now(&mut self, turn: Turn, now: Instant) {
        self.turns.push(Reverse((now, turn)));
    }

    /// When the next turn is.
    pub fn next(&self) -> Option<Instant> {
        self.turns.peek().map(|Reverse((at, _))| *at)
    }

    /// The next turn, if its time has come.
    pub fn take_due(&mut self, now: Instant) -> Option<Turn> {
        if self.next()? > now {
            return None;
        }
        self.turns.pop().map(|Reverse((_, turn))| turn)
    }

    /// From 0 to 1.
    fn fraction(&self, of: &impl Hash) -> f64 {
        let hash = u32::try_from(self.seed.hash_one(of) >> 32).unwrap_or_default();
        f64::from(hash) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_thousand_targets_come_evenly() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let interval = Duration::from_millis(250);
        for slot in 0..5000 {
            schedule.somewhere_in(interval, Turn { slot, life: 0 }, now);
        }
        let mut asked = vec![0_u32; 5000];
        for tick in 1..=100_u32 {
            let tick_end = now + Duration::from_millis(10) * tick;
            let mut in_tick = 0;
            while let Some(turn) = schedule.take_due(tick_end) {
                in_tick += 1;
                *asked.get_mut(turn.slot).unwrap() += 1;
                schedule.after(interval, turn, tick_end);
            }
            // 200 in 10 ms on average: no burst is twice that. Where the first round goes over into the second, some are fewer.
            assert!((60..400).contains(&in_tick), "{in_tick} in tick {tick}");
        }
        assert!(asked.iter().all(|n| (3..=5).contains(n)), "{:?}", asked.iter().max());
    }
}
