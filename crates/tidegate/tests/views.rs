//! What people see: golden texts from statuses as a controller reports them.
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use insta::assert_snapshot;
use support::{absent, as_detail, as_status, detail, empty, healthy, history, screen, troubled};
use tidegate::command::explain::explain_text;
use tidegate::command::history::history_table;
use tidegate::command::status::status_text;
use tidegate::output::{Screen, Style};
use tidegate_core::ids::NodeName;
use tidegate_core::status::HistoryRow;

#[test]
fn status_when_all_is_well() {
    assert_snapshot!(status_text(&as_status(healthy()), &screen(None)));
}

#[test]
fn status_with_every_trouble() {
    assert_snapshot!(status_text(&as_status(troubled()), &screen(Some(120))));
}

#[test]
fn status_on_an_empty_store() {
    assert_snapshot!(status_text(&as_status(empty()), &screen(None)));
}

#[test]
fn status_on_a_narrow_terminal() {
    let text = status_text(&as_status(healthy()), &screen(Some(60)));
    let nodes = text.split("\n\n").nth(2).unwrap();
    assert!(nodes.lines().all(|line| line.chars().count() <= 60), "{nodes}");
    assert_snapshot!(nodes);
}

#[test]
fn explain_a_draining_node() {
    let text = explain_text(&NodeName::parse("worker-2").unwrap(), &as_detail(detail()), &screen(None));
    assert!(text.lines().count() <= 24, "it must fit on one screen:\n{text}");
    assert_snapshot!(text);
}

#[test]
fn explain_a_node_that_is_gone() {
    assert_snapshot!(explain_text(&NodeName::parse("worker-9").unwrap(), &as_detail(absent()), &screen(None)));
}

#[test]
fn history_with_an_election() {
    let rows: Vec<HistoryRow> = serde_json::from_value(history()).unwrap();
    assert_snapshot!(history_table(&rows, &screen(None)));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let colour = Screen { style: Style::COLOUR, ..screen(None) };
    let status = as_status(troubled());
    let (plain, painted) = (status_text(&status, &screen(None)), status_text(&status, &colour));
    assert!(painted.contains("\x1b[1;31m"));
    let mut stripped = String::new();
    for (n, part) in painted.split("\x1b[").enumerate() {
        stripped.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(stripped, plain);
}
