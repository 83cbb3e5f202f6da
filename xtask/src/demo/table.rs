//! The table at the end of the demo.

use std::fmt::Write;

use tidegate_testbed::traffic::Snapshot;

use super::stage::Step;

/// One line for each step, and one for everything.
pub fn render(steps: &[Step], total: &Snapshot) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{:<32} {:>18} {:>10} {:>8} {:>10}", "STEP", "EVENT TO LIVE", "REQUESTS", "FAILED", "P99");
    for step in steps {
        let to_live = format!("{} ms", step.to_live.as_millis());
        line(&mut text, &step.name, &to_live, &step.traffic);
    }
    line(&mut text, "everything", "", total);
    text
}

fn line(text: &mut String, name: &str, to_live: &str, traffic: &Snapshot) {
    let p99 = match traffic.sent() {
        0 => "-".to_owned(),
        _ => format!("{:.1} ms", traffic.p99().as_secs_f64() * 1e3),
    };
    let _ = writeln!(text, "{name:<32} {to_live:>18} {:>10} {:>8} {p99:>10}", traffic.sent(), traffic.failed());
}
