//! The picture at the bottom of the terminal: nodes, the load balancer, the client.

use jiff::Timestamp;
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span, Text};
use tidegate_core::log::Phase;
use tidegate_core::status::{ClusterStatus, NodeStatus};
use tidegate_core::time::{elapsed, human};
use tidegate_testbed::traffic::Snapshot;

/// Lines that it takes: frame, up to six nodes, load balancer, client.
pub const HEIGHT: u16 = 12;
const NODES: usize = 6;
const BAR: usize = 20;

/// What is drawn: the newest status, and the traffic of the last moment beside that since the start.
pub struct Picture<'a> {
    pub status: Option<&'a ClusterStatus>,
    pub moment: &'a Snapshot,
    pub total: &'a Snapshot,
}

impl Picture<'_> {
    pub fn text(&self) -> Text<'static> {
        let mut lines = vec![Line::from("─".repeat(100)).dim()];
        lines.push(Line::from("  NODE        STATE                RULE           TRAFFIC NOW").bold());
        let nodes = self.status.map_or(&[][..], |status| &status.nodes);
        lines.extend(nodes.iter().take(NODES).map(|node| self.node(node)));
        lines.resize(NODES + 2, Line::default());
        lines.push(Line::default());
        lines.push(self.load_balancer());
        lines.push(self.client());
        Text::from(lines)
    }

    fn node(&self, node: &NodeStatus) -> Line<'static> {
        let (dot, style) = match node.state {
            Phase::Active => ("●", Style::new().green()),
            Phase::Draining => ("◐", Style::new().yellow()),
            Phase::Out => ("○", Style::new().dim()),
        };
        let left = node.deadline.map(|deadline| format!(" {} left", human(elapsed(Timestamp::now(), deadline))));
        let state = format!("{}{}", node.state.as_str(), left.unwrap_or_default());
        let rate = self.rate_of(node.name.as_str());
        let share = rate / self.moment.rate().max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let filled = ((share * BAR as f64).round() as usize).min(BAR);
        Line::from(vec![
            Span::styled(format!("{dot} "), style),
            Span::raw(format!("{:<12}", node.name)),
            Span::styled(format!("{state:<21}"), style),
            Span::raw(format!("{:<15}", node.rule)),
            Span::raw("█".repeat(filled)).cyan(),
            Span::raw("░".repeat(BAR - filled)).dim(),
            Span::raw(format!(" {rate:>5.0} req/s")),
        ])
    }

    fn rate_of(&self, node: &str) -> f64 {
        let answered = self.moment.by_node.get(node).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let answered = answered as f64;
        answered / self.moment.elapsed.as_secs_f64().max(0.001)
    }

    fn load_balancer(&self) -> Line<'static> {
        let mut spans = vec![Span::raw("  LOAD BALANCER  ").bold()];
        let lb = self.status.and_then(|status| status.load_balancers.first());
        match (self.status.and_then(|status| status.desired), lb) {
            (Some(desired), Some(lb)) => {
                let live = lb.live.map_or("nothing".to_owned(), |live| format!("revision {}", live.position.revision));
                let word = if lb.in_sync { "in sync".green() } else { "applying".yellow() };
                spans.push(Span::raw(format!("desired revision {}, live {live}, ", desired.position.revision)));
                spans.push(word);
                spans.push(Span::raw(format!(", {} reloads", lb.reloads)));
            }
            _ => spans.push("waiting for the first node".dim()),
        }
        Line::from(spans)
    }

    fn client(&self) -> Line<'static> {
        let failed = self.total.failed();
        let verdict = if failed == 0 { "0 failed".green() } else { format!("{failed} failed").red() };
        Line::from(vec![
            Span::raw("  CLIENT         ").bold(),
            Span::raw(format!("{:.0} req/s, {} requests, ", self.moment.rate(), self.total.sent())),
            verdict,
            Span::raw(format!(", p99 {:.1} ms", self.moment.p99().as_secs_f64() * 1e3)),
        ])
    }
}
