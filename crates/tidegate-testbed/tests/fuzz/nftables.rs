//! What nft and conntrack answer, and our script, which others may have edited.

use tidegate_agent::engine::nftables::script::Script;
use tidegate_agent::engine::nftables::{flows, listing};
use tidegate_agent::file::seal;
use tidegate_core::hash::ContentHash;
use tidegate_testbed::fuzz::{Target, Verdict};

/// nft 1.0.6, shortened.
const LISTING: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}, {"table": {"family": "inet", "name": "t", "handle": 1}}, {"map": {"family": "inet", "name": "tcp4-http", "table": "t", "type": "integer", "handle": 7, "map": "ipv4_addr . inet_service", "elem": [[0, {"concat": ["127.0.0.1", 8081]}], [1, {"concat": ["10.0.0.2", 8081]}]]}}, {"set": {"family": "inet", "name": "ranges4-http", "table": "t", "type": "ipv4_addr", "handle": 9, "flags": ["interval"], "elem": [{"prefix": {"addr": "10.0.0.0", "len": 9}}, {"range": ["10.128.0.0", "10.255.255.255"]}, {"range": ["fd00::1", "fdff::fffe"]}, "192.0.2.1"]}}, {"chain": {"family": "inet", "table": "t", "name": "c", "handle": 3}}, {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 26, "comment": "0123", "expr": [{"return": null}]}}]}"#;
/// conntrack 1.4.7.
const FLOWS: &str = "tcp      6 431998 ESTABLISHED src=127.0.0.1 dst=127.0.0.2 sport=49214 dport=8080 src=127.0.0.1 dst=127.0.0.1 sport=8081 dport=49214 [ASSURED] mark=1952907222 use=1\nudp      17 29 src=fd77::1 dst=fd77::2 sport=40000 dport=53 [UNREPLIED] src=fd77::3 dst=fd77::1 sport=5353 dport=40000 mark=1952907222 use=1\nconntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.\n";
const SCRIPT: &str = "add table inet t\nadd chain inet t c\n#: tcp4-a tcp 0.0.0.0:80 hashed\n#: tcp4-a keeps 10.0.0.9:81\nadd map inet t tcp4-a { }\nadd element inet t tcp4-a { 0 : 10.0.0.1 . 81, 1 : 10.0.0.2 . 81 }\nadd set inet t ranges4-a { }\nadd element inet t ranges4-a { 10.0.0.0/8, 192.0.2.7 }\nadd rule inet t c numgen inc mod 2 map @tcp4-a\nadd rule inet other c drop\n";

const WORDS: &[&str] = &[
    "\"nftables\"",
    "\"family\": \"inet\"",
    "\"elem\":",
    "\"concat\":",
    "\"prefix\":",
    "\"range\":",
    "\"addr\":",
    "\"len\":",
    "\"map\":",
    "\"set\":",
    "\"rule\":",
    "\"chain\":",
    "\"comment\":",
    "\"0.0.0.0\"",
    "\"255.255.255.255\"",
    "\"::\"",
    "\"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\"",
    "src=",
    "dst=",
    "sport=",
    "dport=",
    "tcp ",
    "udp ",
    "#: ",
    " keeps ",
    " numbered",
    "add element inet t ",
    "add rule inet t ",
    " mod ",
    "{ ",
    " }",
    " . ",
    " : ",
    "::1",
];

pub fn answers() -> Target {
    let corpus = [LISTING, FLOWS].map(|text| text.as_bytes().to_vec()).into();
    Target { name: "nftables-answers", corpus, dictionary: WORDS, check: Box::new(answer) }
}

pub fn files() -> Target {
    let corpus = vec![SCRIPT.as_bytes().to_vec()];
    Target { name: "nftables-files", corpus, dictionary: WORDS, check: Box::new(file) }
}

fn answer(input: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let flows: Vec<_> = text.lines().filter_map(flows::read).collect();
    assert!(flows.iter().all(|flow| !(flow.route.udp && flow.open)), "datagrams are no open connections");
    let table = listing::read(&text, "t");
    let parts = (listing::comments(&text), listing::chains_of(&text, "t"), listing::has_table(&text, "t"));
    assert!(table.is_ok() == parts.0.is_ok() && parts.1.is_ok() == parts.2.is_ok(), "one answer, two opinions");
    if let (Ok(table), (_, Ok(chains), _)) = (&table, &parts) {
        let elements = table.maps.values().map(std::collections::BTreeMap::len).sum::<usize>();
        assert!(elements <= text.len(), "more elements than bytes");
        // A range between two addresses is at most 2 x 128 networks.
        let networks = table.sets.values().map(Vec::len).sum::<usize>();
        assert!(networks <= 256 * text.len(), "{networks} networks");
        assert!(chains.iter().all(|chain| table.chains.contains_key(chain)), "a chain without a place: {chains:?}");
    }
    if flows.is_empty() { Verdict::of(&table) } else { Verdict::Accepted }
}

/// The body of a file whose seal is right: a wrong one is found by its hash.
fn file(input: &[u8]) -> Verdict {
    let body = String::from_utf8_lossy(input);
    let generation = ContentHash::of_bytes(body.as_bytes());
    let text = seal(&generation, &body);
    let Some(script) = Script::of(generation, &text, "t") else {
        return Verdict::Refused("no script of ours".to_owned());
    };
    assert_eq!(script.generation, generation);
    assert!(script.routes().iter().all(|route| script.allows(route)), "its own route is not allowed: {script:?}");
    assert!(script.len() <= body.len(), "more elements than bytes");
    Verdict::Accepted
}
