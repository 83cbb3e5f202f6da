use proptest::prelude::*;
use serde::Serialize;
use tidegate_core::desired::{Backend, BackendState, DesiredState};
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, NodeName};
use tidegate_core::node::Weight;
use tidegate_core::position::{Position, Revision, Term};

use super::*;
use crate::template::Template;

#[derive(Serialize)]
struct Context<'a> {
    listeners: &'a [ListenerView],
}

const LINE: (&str, &str) = (
    "line",
    "{% if draining %}-{% endif %}{{ backend.node }} {{ backend.address }} {{ backend.number }}{% if listener.proxy_protocol.v1 %} v1{% endif %};",
);
const LOOPS: &str = "{% for l in listeners %}{% for b in l.backends %}{{ b.node }} {{ b.address }} {{ b.number }}{% if l.proxy_protocol.v1 %} v1{% endif %};{% if not loop.last %},{% endif %}{% endfor %}/{% for b in l.draining %}-{{ b.node }} {{ b.address }} {{ b.number }}{% if l.proxy_protocol.v1 %} v1{% endif %};{% endfor %}{% endfor %}";
const LINES: &str = "{% for l in listeners %}{{ l.backends.lines(\",\") }}/{{ l.draining.lines() }}{% endfor %}";

fn state(pool: Vec<Backend>, proxy_protocol: ProxyProtocol) -> DesiredState {
    let name = tidegate_core::ids::ListenerName::parse("http").unwrap();
    let listener = Listener { proxy_protocol, ..Listener::tcp(name.clone(), "0.0.0.0:80".parse().unwrap(), 80) };
    DesiredState {
        cluster: ClusterName::parse("c").unwrap(),
        position: Position { term: Term(1), revision: Revision(1) },
        hash: ContentHash::of_bytes(b""),
        listeners: vec![listener],
        pools: [(name, pool)].into(),
        overrides: std::collections::BTreeMap::new(),
    }
}

fn backend(node: u8, draining: bool) -> Backend {
    let deadline = "2026-11-24T12:00:00Z".parse().unwrap();
    let state = if draining { BackendState::Draining { deadline } } else { BackendState::Active };
    Backend { state, ..Backend::active(NodeName::parse(format!("w{node}")).unwrap(), [10, 0, 0, node].into(), 80) }
}

fn render(source: &str, state: &DesiredState, memo: Option<&BackendMemo>) -> Result<String, String> {
    let template = Template::parse(&[LINE], ("main", source)).map_err(|e| e.to_string())?;
    let listeners = ListenerView::of(state, memo);
    template.render(&Template::context(&Context { listeners: &listeners }), 100).map_err(|e| e.to_string())
}

#[test]
fn each_attribute_is_there_by_its_name_and_no_other() {
    let state = state(vec![backend(1, false)], ProxyProtocol::None);
    let of = |source: &str| render(&format!("{{% set b = listeners[0].backends[0] %}}{source}"), &state, None);
    let all = "{{ b.node }} {{ b.address }} {{ b.ip }} {{ b.port }} {{ b.id }} {{ b['port'] }}";
    assert_eq!(of(all).unwrap(), "w1 10.0.0.1:80 10.0.0.1 80 10-0-0-1_80 80");
    assert_eq!(of("{{ listeners[0].backends|length }}").unwrap(), "1");
    assert_eq!(of("{{ b.weight }} {{ b.hash_weight }}").unwrap(), "1 16");
    assert!(of("{{ b.size }}").unwrap_err().contains("undefined"));
    assert!(of("{{ b }}").unwrap_err().contains("may not be written"));
}

#[test]
fn a_ring_has_points_by_weight_as_many_as_fit() {
    for (weights, points) in [([1, 16], "16 256"), ([1, 17], "8 136"), ([33, 64], "132 256"), ([65, 100], "130 200")] {
        let backend =
            |(node, weight): (u8, u8)| Backend { weight: Weight::new(weight).unwrap(), ..backend(node, false) };
        let state = state((1..).zip(weights).map(backend).collect(), ProxyProtocol::None);
        let both = "{{ listeners[0].backends[0].hash_weight }} {{ listeners[0].backends[1].hash_weight }}";
        assert_eq!(render(both, &state, None).unwrap(), points, "{weights:?}");
    }
}

#[test]
fn lines_are_written_by_the_engines_partial_and_nothing_else() {
    let (state, memo) = (state(vec![backend(1, false)], ProxyProtocol::None), BackendMemo::new("line"));
    let of = |source: &str| render(source, &state, Some(&memo));
    for (source, why) in [
        ("{{ listeners[0].backends.lines()|upper }}", "may not be written"),
        ("{{ listeners[0].backends.lines(\"; x\") }}", "commas and white space only"),
        ("{{ listeners[0].backends.others() }}", "no method named others"),
    ] {
        let error = of(source).unwrap_err();
        assert!(error.contains(why), "{source}: {error}");
    }
    assert!(render(LINES, &state, None).unwrap_err().contains("no method named lines"));
}

proptest! {
    /// Whatever was rendered before, lines that are kept are those that would be written.
    #[test]
    fn kept_lines_are_the_lines_that_would_be_written(
        rounds in prop::collection::vec((prop::collection::btree_map(1..90_u8, any::<bool>(), 0..80), any::<bool>()), 1..6),
    ) {
        let memo = BackendMemo::new("line");
        for (nodes, v1) in rounds {
            let pool = nodes.iter().map(|(node, draining)| backend(*node, *draining)).collect();
            let state = state(pool, if v1 { ProxyProtocol::V1 } else { ProxyProtocol::None });
            prop_assert_eq!(render(LINES, &state, Some(&memo)), render(LOOPS, &state, None));
        }
    }
}
