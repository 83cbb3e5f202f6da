//! The terminal: the story scrolls above, the picture stays below. Without a terminal, only the story.

use std::io::Stdout;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use ratatui::backend::CrosstermBackend;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Widget};
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::picture::HEIGHT;

type Live = Terminal<CrosstermBackend<Stdout>>;

/// Cheap to clone; all clones draw on the same terminal.
#[derive(Clone)]
pub struct Screen {
    live: Arc<Mutex<Option<Live>>>,
}

impl Screen {
    /// `live`: keep a picture at the bottom; otherwise print lines only.
    pub fn new(live: bool) -> Result<Self> {
        let options = TerminalOptions { viewport: Viewport::Inline(HEIGHT) };
        let terminal = live.then(|| Terminal::with_options(CrosstermBackend::new(std::io::stdout()), options));
        let terminal = terminal.transpose().context("taking over the terminal (try --plain)")?;
        Ok(Self { live: Arc::new(Mutex::new(terminal)) })
    }

    /// Adds a line to the story.
    pub fn say(&self, line: Line<'_>) {
        let plain: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
        let drawn =
            self.with(|terminal| terminal.insert_before(1, |buffer| Paragraph::new(line).render(buffer.area, buffer)));
        if !drawn {
            println!("{plain}");
        }
    }

    /// Draws the picture anew.
    pub fn draw(&self, picture: Text<'_>) {
        self.with(|terminal| {
            terminal.draw(|frame| frame.render_widget(Paragraph::new(picture), frame.area())).map(|_| ())
        });
    }

    /// Removes the picture and gives the terminal back; later lines are printed plainly.
    pub fn close(&self) {
        self.with(|terminal| {
            terminal.clear()?;
            terminal.show_cursor()
        });
        drop(self.live.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Whether there was a live terminal to draw on. A terminal that fails is not worth ending the demo for.
    fn with(&self, draw: impl FnOnce(&mut Live) -> std::io::Result<()>) -> bool {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.as_mut().is_some_and(|terminal| draw(terminal).is_ok())
    }
}
