//! Aligned columns. The last column takes what is left of the terminal, or a line of its own.

use super::{Screen, Style};

/// Less than this is no column for a sentence.
const LEAST: usize = 24;
const GAP: &str = "  ";

/// A colour of a cell.
pub type Paint = fn(Style, &str) -> String;

/// One cell and its colour.
struct Cell {
    text: String,
    paint: Option<Paint>,
}

/// Rows of text, aligned when shown.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; `paint` colours one cell of it.
    pub fn row(&mut self, cells: Vec<String>, paint: Option<(usize, Paint)>) {
        let colour = |n: usize| paint.and_then(|(column, paint)| (column == n).then_some(paint));
        let cells = cells.into_iter().enumerate().map(|(n, text)| Cell { text: one_line(&text), paint: colour(n) });
        self.rows.push(cells.collect());
    }

    /// The table as text.
    pub fn show(&self, screen: &Screen) -> String {
        let widths = self.widths();
        let last = widths.len().saturating_sub(1);
        let before: usize = widths.iter().take(last).map(|width| width + GAP.len()).sum();
        let room = screen.width.map(|width| width.saturating_sub(before));
        let below = room.is_some_and(|room| room < LEAST && widths.last().is_some_and(|wide| *wide > room));
        let head: Vec<Cell> =
            self.head.iter().map(|text| Cell { text: text.clone(), paint: Some(Style::faint) }).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (n, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if n < last {
                    line.push_str(&painted(cell, *width, screen.style));
                    line.push_str(GAP);
                } else if below && !std::ptr::eq(row, &raw const head) {
                    let room = screen.width.unwrap_or(LEAST).saturating_sub(4);
                    line =
                        format!("{}\n    {}", line.trim_end(), painted(&shortened(cell, Some(room)), 0, screen.style));
                } else {
                    line.push_str(&painted(&shortened(cell, room.filter(|_| !below)), 0, screen.style));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let longest = |n: usize, head: &String| {
            let cells = self.rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.text.chars().count());
            cells.chain([head.chars().count()]).max().unwrap_or_default()
        };
        self.head.iter().enumerate().map(|(n, head)| longest(n, head)).collect()
    }
}

fn painted(cell: &Cell, width: usize, style: Style) -> String {
    let padding = width.saturating_sub(cell.text.chars().count());
    let text = cell.paint.map_or_else(|| cell.text.clone(), |paint| paint(style, &cell.text));
    format!("{text}{}", " ".repeat(padding))
}

fn shortened(cell: &Cell, room: Option<usize>) -> Cell {
    let text = room.map_or_else(|| cell.text.clone(), |room| shorten(&cell.text, room));
    Cell { text, paint: cell.paint }
}

/// At most this many characters, with an ellipsis for what is missing.
fn shorten(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Messages come from engines and kubelets: no line break or escape sequence of theirs reaches the terminal.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn screen(width: Option<usize>) -> Screen {
        Screen { style: Style::PLAIN, width, now: Timestamp::UNIX_EPOCH }
    }

    fn table() -> Table {
        let mut table = Table::new(&["NODE", "STATE", "WHY"]);
        table.row(
            vec!["w1".into(), "active".into(), "Ready since this morning, and nothing speaks against it".into()],
            None,
        );
        table.row(vec!["worker-22".into(), "out".into(), "bad\u{1b}[31m\nnews".into()], None);
        table
    }

    #[test]
    fn columns_are_aligned_and_controls_are_gone() {
        let shown = table().show(&screen(None));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "NODE       STATE   WHY");
        assert_eq!(lines[1], "w1         active  Ready since this morning, and nothing speaks against it");
        assert_eq!(lines[2], "worker-22  out     bad [31m news");
    }

    #[test]
    fn a_narrow_terminal_shortens_and_a_very_narrow_one_breaks() {
        let narrow = table().show(&screen(Some(50)));
        assert!(narrow.lines().all(|line| line.chars().count() <= 50), "{narrow}");
        assert!(narrow.contains("Ready since this morning, and…"), "{narrow}");
        let tiny = table().show(&screen(Some(30)));
        assert!(tiny.lines().all(|line| line.chars().count() <= 30), "{tiny}");
        assert!(tiny.contains("w1         active\n    Ready since"), "{tiny}");
    }
}
