//! Text for people: colour where a terminal is, aligned tables, times as people say them.

mod style;
mod table;

pub use style::Style;
pub use table::{Paint, Table, one_line};

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_core::time::{elapsed, human};

/// How and when something is shown.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Colours, or none.
    pub style: Style,
    /// Columns of the terminal; absent where lines may be as long as they want.
    pub width: Option<usize>,
    /// The time.
    pub now: Timestamp,
}

impl Screen {
    /// Standard output as it is.
    pub fn stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { style: Style::detect(terminal), width: terminal.then(terminal_width).flatten(), now: Timestamp::now() }
    }

    /// The same at this moment.
    #[must_use]
    pub fn refreshed(self) -> Self {
        Self { now: Timestamp::now(), ..self }
    }

    /// `3m 12s ago`
    pub fn ago(&self, at: Timestamp) -> String {
        if self.seconds(at).is_zero() { "just now".to_owned() } else { format!("{} ago", self.age(at)) }
    }

    /// `for 3m 12s`, without the `for`.
    pub fn age(&self, at: Timestamp) -> String {
        human(self.seconds(at))
    }

    /// Fractions of a second are noise to people.
    fn seconds(&self, at: Timestamp) -> Duration {
        Duration::from_secs(elapsed(at, self.now).as_secs())
    }

    /// `in 12s`, or `now`.
    pub fn until(&self, at: Timestamp) -> String {
        let left = elapsed(self.now, at);
        if left.is_zero() { "now".to_owned() } else { format!("in {}", human(left)) }
    }
}

/// `2026-11-24 11:02:03Z`: what sorts, and needs no time zone.
pub fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds: String = text.chars().take(19).collect();
    format!("{}Z", seconds.replace('T', " "))
}

fn terminal_width() -> Option<usize> {
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    given.or_else(asked).filter(|width| *width >= 20)
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a value as JSON.
pub fn print_json(value: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other)?;
    print(&format!("{text}\n"))
}
