//! What the answers of one target add up to.

use serde::{Deserialize, Serialize};

use super::Pace;

/// How one question ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it should.
    Passed,
    /// Not as it should, and the backend is to blame.
    Failed(String),
    /// The question could not be asked: this machine is to blame (no file descriptor, no route, its own firewall).
    Unasked(String),
}

/// What is known of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has neither answered once nor failed often enough.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl Verdict {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The answers of one target so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    verdict: Verdict,
    /// Answers in a row that contradict the verdict.
    against: u8,
    /// The latest failure, for people.
    trouble: Option<String>,
}

impl Tally {
    /// That of a target which was down when this process started.
    pub fn down() -> Self {
        Self { verdict: Verdict::Down, ..Self::default() }
    }

    /// What is known.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The latest failure; nothing after a success.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Takes in one answer; says whether the verdict is another one now. A question that could not be asked says nothing.
    pub fn note(&mut self, answer: Answer, pace: &Pace) -> bool {
        let (meant, needed) = match answer {
            // The first answer of a target that is new: there is nothing to doubt it.
            Answer::Passed if self.verdict == Verdict::Unknown => (Verdict::Up, 1),
            Answer::Passed => (Verdict::Up, pace.rise),
            Answer::Failed(_) => (Verdict::Down, pace.fall),
            Answer::Unasked(_) => return false,
        };
        self.trouble = match answer {
            Answer::Failed(trouble) => Some(trouble),
            _ => None,
        };
        if meant == self.verdict {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return false;
        }
        (self.verdict, self.against) = (meant, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        interval: std::time::Duration::from_millis(250),
        timeout: std::time::Duration::from_millis(200),
        fall: 3,
        rise: 2,
    };

    fn told(tally: &mut Tally, answers: &str) -> Verdict {
        for answer in answers.chars() {
            let answer = match answer {
                '+' => Answer::Passed,
                '-' => Answer::Failed("refused".to_owned()),
                _ => Answer::Unasked("no file descriptor".to_owned()),
            };
            tally.note(answer, &PACE);
        }
        tally.verdict()
    }

    #[test]
    fn a_row_of_answers_makes_a_verdict_and_a_broken_row_none() {
        let cases = [
            ("", Verdict::Unknown),
            ("+", Verdict::Up),
            ("--", Verdict::Unknown),
            ("---", Verdict::Down),
            ("+--+--", Verdict::Up),
            ("+---", Verdict::Down),
            ("+---+", Verdict::Down),
            ("+---+-+", Verdict::Down),
            ("+---++", Verdict::Up),
            ("--+", Verdict::Up),
        ];
        for (answers, expected) in cases {
            assert_eq!(told(&mut Tally::default(), answers), expected, "{answers}");
        }
    }

    #[test]
    fn what_could_not_be_asked_neither_fails_nor_breaks_a_row() {
        assert_eq!(told(&mut Tally::default(), "+???????"), Verdict::Up);
        assert_eq!(told(&mut Tally::default(), "+-?-?-"), Verdict::Down);
        assert_eq!(told(&mut Tally::default(), "???"), Verdict::Unknown);
    }
}
