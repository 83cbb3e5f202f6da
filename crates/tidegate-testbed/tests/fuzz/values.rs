//! Values on their way into a configuration: whatever they are, only the places that the template left for them change.
//!
//! The oracle is a twin: the same state with harmless names. Both texts must have the same characters besides those of
//! words, numbers and addresses; one quote, brace, semicolon or end of line more, and the value has written syntax.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_agent::engine::preview;
use tidegate_agent::{CustomSettings, EngineSettings, EnvoySettings, HaproxySettings, NftablesSettings, NginxSettings};
use tidegate_core::desired::DesiredState;
use tidegate_testbed::fuzz::{Target, Verdict};
use tidegate_testbed::run::{Scratch, current};

/// Between the fields of an input: no field needs it, and every other character can be in one.
const BETWEEN: char = '\u{1f}';

/// Writes every value that there is, also where the built-in templates write none.
const EVERYTHING: &str = "# {{ generation }}
{% for l in listeners %}
l {{ l.name }} {{ l.bind }} {{ l.bind_address }} {{ l.bind_port }};
{% for r in l.source_ranges %}r {{ r }};
{% endfor %}{% for b in l.backends %}b {{ b.node }} {{ b.address }} {{ b.ip }} {{ b.port }} {{ b.id }} {{ b.number }};
{% endfor %}{% for b in l.draining %}d {{ b.node }} {{ b.address }} {{ b.id }};
{% endfor %}{% if l.idle_timeout %}i {{ l.idle_timeout }} {{ l.idle_timeout_seconds }};
{% endif %}{% if l.connect_timeout %}c {{ l.connect_timeout }} {{ l.connect_timeout_seconds }};
{% endif %}{% if l.max_connections %}m {{ l.max_connections }};
{% endif %}{% endfor %}
";

pub fn target() -> Target {
    let scratch = Arc::new(current().unwrap().scratch("values").unwrap());
    let engines = engines(&scratch);
    let corpus = [
        [
            "https",
            "w1.example.com",
            "10.0.0.1",
            "0.0.0.0:443",
            "10.0.0.0/8",
            "90000",
            "1500",
            "1000",
            "30443",
            "tcp",
            "roundRobin",
            "none",
            "/var/lib/tidegate",
        ],
        ["dns", "w2", "fd00::2", "[::]:53", "fd00::/8", "", "", "", "30053", "udp", "source", "none", "/run/t"],
        ["a", "n", "10.0.0.9", "10.1.1.1:1", "192.0.2.1", "1", "", "", "1", "tcp", "leastConnections", "v2", "/x"],
        ["a", "n", "10.0.0.9", "10.1.1.1:1", "", "", "1", "4294967295", "1", "tcp", "source", "v1", "/x"],
    ];
    let corpus = corpus.map(|fields| fields.join(&BETWEEN.to_string()).into_bytes()).into();
    let check = move |input: &[u8]| {
        // The template lives as long as the target.
        let _template: &Scratch = &scratch;
        check(&engines, &String::from_utf8_lossy(input))
    };
    Target { name: "values", corpus, dictionary: WORDS, check: Box::new(check) }
}

const WORDS: &[&str] = &[
    "\u{1f}",
    "tcp",
    "udp",
    "roundRobin",
    "leastConnections",
    "source",
    "none",
    "v1",
    "v2",
    "10.0.0.1",
    "::1",
    "::ffff:10.0.0.1",
    "[fe80::1%2]:80",
    "0.0.0.0/0",
    "::/0",
    ";}",
    "\n}",
    "{{ 7*7 }}",
    "include /etc/passwd;",
    "a-b",
    "xn--",
    "/etc/passwd",
];

fn engines(scratch: &Scratch) -> Vec<EngineSettings> {
    let template = scratch.path().join("everything.j2");
    std::fs::write(&template, EVERYTHING).unwrap();
    let command = || vec!["/bin/true".to_owned()];
    let custom = CustomSettings {
        template,
        output: "/etc/tidegate/custom.conf".into(),
        check: command(),
        reload: command(),
        verify: command(),
        stop: None,
        timeout: Duration::from_secs(1),
        min_reload_interval: Duration::ZERO,
    };
    vec![
        EngineSettings::Nginx(NginxSettings::new("/etc/tidegate/nginx.conf")),
        EngineSettings::Haproxy(HaproxySettings::new("/etc/tidegate/haproxy.cfg")),
        EngineSettings::Envoy(EnvoySettings::new("/etc/tidegate/envoy.json")),
        EngineSettings::Nftables(NftablesSettings::new("/etc/tidegate/t.nft")),
        EngineSettings::Custom(custom),
    ]
}

fn check(engines: &[EngineSettings], input: &str) -> Verdict {
    let mut fields = input.split(BETWEEN).map(str::to_owned).collect::<Vec<_>>();
    fields.resize(13, String::new());
    let state = match state(&fields) {
        Ok(state) => state,
        Err(reason) => return Verdict::Refused(reason),
    };
    for (field, harmless) in [(0, "l"), (1, "n"), (12, "/s")] {
        harmless.clone_into(&mut fields[field]);
    }
    let twin = self::state(&fields).expect("harmless names are names");
    let folder = PathBuf::from(input.split(BETWEEN).nth(12).unwrap_or_default());
    let mut refused = String::new();
    let mut rendered = 0;
    for engine in engines {
        match text(engine, &folder, &state) {
            Err(reason) => refused = reason,
            Ok(real) => {
                let harmless = text(engine, Path::new("/s"), &twin).expect("a harmless twin renders as well");
                assert_eq!(syntax(&real), syntax(&harmless), "a value wrote syntax into this:\n{real}");
                rendered += 1;
            }
        }
    }
    if rendered == 0 { Verdict::Refused(refused) } else { Verdict::Accepted }
}

/// As an agent reads it from the wire.
fn state(fields: &[String]) -> Result<DesiredState, String> {
    let text = |n: usize| fields[n].as_str();
    let number =
        |n: usize| serde_json::from_str::<serde_json::Number>(text(n)).map_or_else(|_| text(n).into(), Value::from);
    let mut limits = serde_json::Map::new();
    for (name, field) in [("idleTimeoutMillis", 5), ("connectTimeoutMillis", 6), ("maxConnections", 7)] {
        if !text(field).is_empty() {
            limits.insert(name.to_owned(), number(field));
        }
    }
    let ranges: Vec<&str> = Some(text(4)).into_iter().filter(|range| !range.is_empty()).collect();
    let listener = json!({
        "name": text(0), "bind": text(3), "protocol": text(9), "targetPort": number(8), "balance": text(10),
        "proxyProtocol": text(11), "sourceRanges": ranges, "allowEmpty": false, "limits": limits,
    });
    let active = json!({ "node": text(1), "address": text(2), "port": number(8), "state": "active" });
    let draining = json!({ "node": text(1), "address": "10.255.0.1", "port": number(8), "state": "draining", "deadline": "2026-11-24T12:00:00Z" });
    let whole = json!({
        "cluster": "c", "term": 1, "revision": 1, "hash": "0".repeat(64), "listeners": [listener],
        "pools": { text(0): [active, draining] },
    });
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

fn text(engine: &EngineSettings, folder: &Path, state: &DesiredState) -> Result<String, String> {
    let renderer = preview(engine, folder).map_err(|error| error.to_string())?;
    renderer.render(state).map(|rendering| rendering.text).map_err(|failure| failure.message)
}

/// How often each character occurs that is none of a word, a number, an address or a path.
fn syntax(text: &str) -> BTreeMap<char, usize> {
    let mut counted = BTreeMap::new();
    for c in text.chars().filter(|c| !c.is_ascii_alphanumeric() && !"/._-+@=:,~".contains(*c)) {
        *counted.entry(c).or_default() += 1;
    }
    counted
}

#[test]
fn a_value_that_writes_syntax_is_seen() {
    assert_ne!(syntax("server a;\n"), syntax("server a; } evil {;\n"));
    assert_ne!(syntax("# a\n"), syntax("# a\nb\n"));
    assert_eq!(syntax("server a-b.c;\n"), syntax("server l;\n"));
}
