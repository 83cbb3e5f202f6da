//! Everything that happens, in one line each; its digest says whether two runs were the same.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::violation::{Invariant, Violation};

/// Lines that a failure shows.
const TAIL: usize = 60;

/// The events of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    whole: bool,
    digest: u64,
    steps: u64,
    violation: Option<Violation>,
}

impl Trace {
    /// A trace that keeps everything, or only what a failure shows.
    pub(crate) fn new(whole: bool) -> Self {
        Self { lines: VecDeque::new(), whole, digest: 0xCBF2_9CE4_8422_2325, steps: 0, violation: None }
    }

    /// Notes one event.
    pub(crate) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        if self.violation.is_some() {
            // What comes after is of no interest, and would push the cause out of the tail.
            return;
        }
        let line = format!("{:>10.3}  {what}", at.as_secs_f64());
        // FNV-1a: the order and every character count.
        let step = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        self.digest = line.bytes().fold(self.digest, step);
        self.steps += 1;
        if !self.whole && self.lines.len() >= TAIL {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Notes that a rule was broken; the first one counts.
    pub(crate) fn accuse(&mut self, at: Duration, invariant: Invariant, detail: fmt::Arguments<'_>) {
        if self.violation.is_some() {
            return;
        }
        self.note(at, format_args!("!! {invariant:?}: {detail}"));
        self.violation = Some(Violation { invariant, detail: detail.to_string(), step: self.steps, at });
    }

    pub(crate) const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    /// The lines that are kept.
    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }
}
