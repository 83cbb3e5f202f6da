//! A configuration file: every mistake has a place inside the text, a message and a cure.

use std::path::Path;

use tidegate::config::Role;
use tidegate::config::load::examine_text;
use tidegate::config::problem::{Problem, Severity};
use tidegate_testbed::fuzz::{Target, Verdict};

const EXAMPLES: [&str; 4] = [
    include_str!("../../../../examples/run.yaml"),
    include_str!("../../../../examples/agent.yaml"),
    include_str!("../../../../examples/controller.yaml"),
    include_str!("../../../../examples/controller-replicas.yaml"),
];

const SMALL: &str = "cluster: { name: prod }\nstore: { sqlite: {} }\nlisteners:\n  - { name: http, bind: \"0.0.0.0:80\", targetPort: 80 }\nagent: { engine: { nginx: {} } }\n";

const WORDS: &[&str] = &[
    "cluster:",
    "store:",
    "listeners:",
    "agent:",
    "nodes:",
    "api:",
    "loadBalancers:",
    "leaderElection:",
    "engine:",
    "nginx",
    "haproxy",
    "envoy",
    "nftables",
    "custom",
    "mongodb",
    "sqlite",
    "name",
    "bind",
    "- ",
    "\n  ",
    "\n- ",
    ": ",
    "? ",
    "&a ",
    "*a",
    "!!str ",
    "|\n",
    ">\n",
    "<<: ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "'",
    "\"",
    "{ ",
    " }",
    "10s",
    "1h",
    "250ms",
    "0.0.0.0:80",
    "10.0.0.0/8",
    "udp",
    "true",
    "key=value:NoSchedule",
    "\u{85}",
    "\u{feff}",
];

pub fn target() -> Target {
    let corpus = EXAMPLES.iter().chain([&SMALL]).map(|text| text.as_bytes().to_vec()).collect();
    Target { name: "configuration", corpus, dictionary: WORDS, check: Box::new(check) }
}

fn check(input: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let (lines, mut refused) = (Lines::of(&text), None);
    for role in [None, Some(Role::Run), Some(Role::Controller), Some(Role::Agent)] {
        let problems = examine_text(&text, Path::new("/etc/tidegate"), role, false).problems;
        for problem in &problems {
            lines.hold(problem);
        }
        if role.is_none() {
            refused = problems.into_iter().find(|p| p.severity == Severity::Error);
        }
    }
    refused.map_or(Verdict::Accepted, |problem| Verdict::Refused(problem.message))
}

/// How long each line is, in characters; reckoned once, because there may be a thousand problems.
struct Lines {
    lengths: Vec<usize>,
    /// A lone carriage return ends a line for YAML, not for everybody: then any column of any line will do.
    odd: Option<usize>,
    count: usize,
}

impl Lines {
    fn of(text: &str) -> Self {
        let pieces: Vec<usize> = text.split(['\n', '\r']).map(|line| line.chars().count()).collect();
        let odd = text.contains('\r').then(|| pieces.iter().copied().max().unwrap_or(0));
        Self { lengths: text.lines().map(|line| line.chars().count()).collect(), odd, count: pieces.len() }
    }

    /// Where something is missing at the very end, the place is behind the last character.
    fn hold(&self, problem: &Problem) {
        let place = problem.place;
        assert!(place.line >= 1 && place.line <= self.count, "line {} of {}: {problem}", place.line, self.count);
        let columns = self.odd.unwrap_or_else(|| self.lengths.get(place.line - 1).copied().unwrap_or(0));
        assert!(place.column >= 1 && place.column <= columns + 1, "column {} of {columns}: {problem}", place.column);
        assert!(!problem.message.is_empty() && !problem.cure.is_empty(), "{problem:?}");
    }
}
