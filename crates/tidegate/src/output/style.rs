//! Colours, only where they are wanted.

/// Colours on, or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colour.
    pub const PLAIN: Self = Self { colour: false };
    /// Colour.
    pub const COLOUR: Self = Self { colour: true };

    /// Colour only on a terminal that knows it, and only without `NO_COLOR` (no-color.org).
    pub fn detect(terminal: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: terminal && !unwanted && !dumb }
    }

    /// For what is written to standard error.
    pub fn of_stderr() -> Self {
        Self::detect(std::io::IsTerminal::is_terminal(&std::io::stderr()))
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// As it should be.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// On its way.
    pub fn busy(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Somebody should look.
    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// A headline.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Beside the point.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
}
