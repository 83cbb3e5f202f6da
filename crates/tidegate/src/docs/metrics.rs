//! `docs/metrics.md`: what `/metrics` shows, from an exposition of a running `tidegate run`.

use std::collections::BTreeMap;
use std::fmt::Write;

const INTRODUCTION: &str = "# Metrics

<!-- Generated from a running `tidegate run` by `UPDATE_DOCS=1 cargo test -p tidegate --test roles`. -->

`GET /metrics`, in the format of OpenMetrics: at `api.listen` for controller and `run` (one page for both roles), at `agent.listen` for an agent,
which also counts `tidegate_hook_total{result}`. Series of nodes that left are removed.

| metric | type | labels | what |
|---|---|---|---|
";

/// The document for this exposition.
pub fn metrics_markdown(exposition: &str) -> String {
    let mut text = String::from(INTRODUCTION);
    let kinds: BTreeMap<&str, &str> =
        exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let helps = exposition.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let rows: BTreeMap<String, String> = helps
        .map(|(family, help)| {
            let kind = kinds.get(family).copied().unwrap_or("unknown");
            let name = format!("{family}{}", suffix(kind));
            let row =
                format!("| `{name}` | {kind} | {} | {} |", labels(exposition, family), help.trim_end_matches('.'));
            (name, row)
        })
        .collect();
    for row in rows.values() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{row}");
    }
    text
}

/// What OpenMetrics adds to the name of a sample.
fn suffix(kind: &str) -> &'static str {
    match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    }
}

/// The labels of a family's first sample; those of a histogram's buckets are not among them.
fn labels(exposition: &str, family: &str) -> String {
    let sample = exposition.lines().find_map(|line| {
        let (name, rest) = line.split_once('{')?;
        let own = name == family || name.strip_prefix(family).is_some_and(|rest| rest.starts_with('_'));
        (own && !line.starts_with('#')).then_some(rest)
    });
    let pairs = sample.and_then(|rest| rest.split_once('}')).map(|(pairs, _)| pairs).unwrap_or_default();
    let keys = pairs.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, _)| key);
    let keys: Vec<String> = keys.filter(|key| *key != "le").map(|key| format!("`{key}`")).collect();
    keys.join(", ")
}
