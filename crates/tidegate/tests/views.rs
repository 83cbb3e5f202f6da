//! What people see: golden texts from statuses as a controller reports them.
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use insta::assert_snapshot;
use serde_json::json;
use support::{
    absent, ago, as_detail, as_status, detail, empty, healthy, history, history_of_orders, replicated, screen, troubled,
};
use tidegate::command::explain::explain_text;
use tidegate::command::history::history_table;
use tidegate::command::order::reply_text;
use tidegate::command::status::status_text;
use tidegate::command::uninstall::{Report, report_text};
use tidegate::output::{Screen, Style};
use tidegate_controller::OrderReply;
use tidegate_core::ids::NodeName;
use tidegate_core::order::OrderKind;
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
fn status_with_replicas_drains_and_deletions() {
    assert_snapshot!(status_text(&as_status(replicated()), &screen(Some(120))));
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
fn explain_a_node_whose_deletion_waits() {
    let status = as_status(replicated());
    let mut detail = as_detail(detail());
    detail.finalizer = Some(status.finalizers[0].clone());
    let text = explain_text(&NodeName::parse("worker-2").unwrap(), &detail, &screen(None));
    let line = text.lines().find(|line| line.starts_with("  deletion ")).unwrap();
    assert_eq!(line, "  deletion waits for lb-3 to let go of it, released in 1m 20s at the latest");
}

#[test]
fn explain_tells_of_each_listener_that_a_node_does_not_carry() {
    let mut detail = detail();
    let at = |listener: &str, rule: &str, reason: &str| json!({ "listener": listener, "state": "out", "rule": rule, "reason": reason });
    let mut ending = at("http", "pod-ending", "pod ingress-x7 is being ended");
    ending["since"] = json!(ago(5));
    ending["deadline"] = json!(support::hence(25));
    let mut held = at("tls", "no-pod", "3 of 3 nodes would leave it at once");
    held["heldBy"] = json!("large-drop");
    detail["node"]["listeners"] = json!([ending, held]);
    let text = explain_text(&NodeName::parse("worker-2").unwrap(), &as_detail(detail), &screen(None));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  listener ")).collect();
    assert_eq!(
        lines,
        [
            "  listener http: no new connections (rule pod-ending: pod ingress-x7 is being ended), 5s ago; its connections are given up in 25s",
            "  listener tls: rule no-pod wants it out, held by guard large-drop (3 of 3 nodes would leave it at once)",
        ]
    );
}

#[test]
fn status_says_what_cannot_be_followed() {
    let mut status = healthy();
    let problem = "the API server answered 403: pods is forbidden";
    status["follows"] = json!([{ "follow": "pods app=x in namespace y", "readyNodes": 0, "problem": problem }]);
    let text = status_text(&as_status(status), &screen(None));
    let expected = "  follow pods app=x in namespace y: the API server answered 403: pods is forbidden; meanwhile who carries these listeners stays as it is";
    assert!(text.lines().any(|line| line == expected) && text.contains("degraded"), "{text}");
}

#[test]
fn who_is_set_aside_for_its_zone_is_named() {
    let mut status = healthy();
    let backend = |node: &str, aside: Option<&str>| {
        let mut backend = json!({ "listener": "http", "node": node, "address": "10.0.0.11", "connections": null });
        if let Some(zone) = aside {
            backend["setAside"] = json!(zone);
        }
        backend
    };
    status["loadBalancers"][0]["backends"] =
        json!([backend("worker-1", None), backend("worker-2", Some("rack-b")), backend("worker-3", Some("rack-c"))]);
    let text = status_text(&as_status(status), &screen(None));
    let expected = "  load balancer lb-1: keeps to its own zone, without worker-2, worker-3 (zones rack-b, rack-c)";
    assert!(text.lines().any(|line| line == expected) && text.contains("in sync"), "{text}");
    let mut detail = detail();
    detail["loadBalancers"][0]["setAside"] = json!({ "http": "rack-b", "https": "rack-b" });
    let text = explain_text(&NodeName::parse("worker-2").unwrap(), &as_detail(detail), &screen(None));
    let expected = "lb-1           no; set aside for http, https: it stands in zone rack-b";
    assert!(text.lines().any(|line| line.starts_with(expected)), "{text}");
}

#[test]
fn explain_names_an_order_even_while_another_rule_speaks() {
    let mut detail = detail();
    detail["order"] = json!({ "node": "worker-2", "by": "anna@ops-1", "why": "new disk", "since": ago(600) });
    let text = explain_text(&NodeName::parse("worker-2").unwrap(), &as_detail(detail), &screen(None));
    let line = text.lines().find(|line| line.starts_with("  ordered ")).unwrap();
    assert_eq!(line, "  ordered  out by anna@ops-1, 10m ago: new disk; `tidegate undrain worker-2` takes it back");
}

#[test]
fn history_with_orders_and_a_repair() {
    let rows: Vec<HistoryRow> = serde_json::from_value(history_of_orders()).unwrap();
    assert_snapshot!(history_table(&rows, &screen(None)));
}

#[test]
fn the_answer_to_an_order() {
    let reply = |already: Option<&str>| {
        let json = json!({ "node": "worker-3", "uid": "u", "term": 4, "revision": 129, "already": already });
        serde_json::from_value::<OrderReply>(json).unwrap()
    };
    let text = |kind, already, waits| reply_text(kind, &reply(already), waits, &screen(None));
    let drain = text(OrderKind::Drain, None, false);
    assert!(
        drain.starts_with("worker-3: drain is recorded in revision 129 (term 4)\n")
            && drain.contains("undrain worker-3")
    );
    assert_eq!(text(OrderKind::Undrain, None, true), "worker-3: undrain is recorded in revision 129 (term 4)\n");
    assert_eq!(text(OrderKind::Drain, Some("drained by anna"), true), "worker-3: drained by anna\n");
}

#[test]
fn what_uninstall_says() {
    let node = |name| NodeName::parse(name).unwrap();
    let mut report = Report::new("SQLite file /var/lib/tidegate/tidegate.db".to_owned(), true);
    report.plan([node("worker-2"), node("worker-1")], vec!["tidegate".to_owned()]);
    assert_snapshot!("uninstall_dry_run", report_text(&report, &screen(None)));
    report.dry_run = false;
    report.finalizers[1].error = Some("the API server answered 403: nodes \"worker-2\" is forbidden".to_owned());
    assert!(report.has_failed());
    assert_snapshot!("uninstall_with_a_failure", report_text(&report, &screen(None)));
    let nothing = Report::new("SQLite file x".to_owned(), false);
    assert!(!nothing.has_failed());
    assert!(report_text(&nothing, &screen(None)).ends_with("nothing of ours is left in the cluster\n"));
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
