//! `docs/eligibility.md`: the rule table and the guards, from the code that decides.

use std::fmt::Write;

use tidegate_core::eligibility::{Class, Rule};
use tidegate_core::guard::Guard;

const INTRODUCTION: &str = "# Which nodes receive traffic

For each node the rules are asked in this order, and the first that matches decides. Every verdict carries the rule's name, what
the rule saw, and since when: `tidegate explain NODE` shows them, `tidegate history` keeps them.

**V**oluntary: somebody asked for it. **I**nvoluntary: it was observed, and observations can lie, so the guards below limit it.
The switches are in [config.md](config.md) under `nodes`.
";

const DRAIN: &str = "
A draining node takes no new connections from the moment when its load balancers have verified that; the connections that it has live on
until `nodes.drainTimeout` (60 s for `shutting-down`). If the reason goes away before that, the drain is cancelled at once. A node
that was removed joins like a new one.

Two nodes with one address: an active member keeps it; else the node that is Ready; else the older one.

## Guards

The rules speak about one node, the guards about all of them. What a guard holds back is shown by `tidegate status`, with the nodes,
since when, why, and the command that lets it through: `tidegate override GUARD --for 10m --why TEXT` (recorded, and over by itself; not
`never-empty`).

Each load balancer asks its nodes itself (`listeners[].probe` in [config.md](config.md)) and sends nothing new to whoever does not answer it, whatever
the table says: guards `half`, `velocity`, `all-failing` and `never-empty` bound that as well, on its machine alone. What is only observed there is shown by
`status` and `explain`, and is in no history.
";

const SHARES: &str = "
## Weights and zones

How much of the new connections an eligible node gets beside the others is its **weight**: annotation `tidegate.io/weight` of the Node, a whole number
from 1 to 100; 1 where there is none. Anything else counts as 1, and the verdict of rule `eligible` says so (`tidegate explain`). What each engine makes
of it is in [engines.md](engines.md). Another weight is a change like any other: recorded, and in place where the engine can.

What the **zone** of a node (label `topology.kubernetes.io/zone`) means is said by each listener, `listeners[].zones`, and decided by each load balancer
for itself, after its probes:

* `any` (default): nothing.
* `prefer`: new connections stay in the load balancer's own zone (`agent.zone`) while at least half of the nodes that should serve there answer, and one at
  least. With fewer, every zone is served, until all of the own one answer, or half and one more: a node that comes and goes does not take a zone
  in and out with it. Nodes without a zone count as the own zone's. Who is set aside keeps its connections, is probed on, and is named by `status` and
  `explain`. Where nobody is probed, all count as answering.
* `spread`: each zone with an active node gets the same share, divided within it by weights; nodes without a zone are one together. A node
  of a small zone thus gets more than one of a large zone, and more again when another one of its zone fails. The shares are
  weights: exact up to a weight of 100 (and 25,600 together), else each is rounded up or down so that the zone's sum stays right. A zone with more than 100 times as many
  nodes as another one gets more than its share.
";

const LISTENERS: &str = "
## Single listeners

A member carries every listener, unless the listener asks for more: `nodes` (labels) and `follow` (a Ready pod of the ingress, or a ready endpoint
of its Service, on that node). These rules are asked about each member and each such listener; a node that leaves one drains there, and carries all the others
as before. Give the pods of the ingress a `preStop` hook of a few seconds: a pod has its deletionTimestamp when the hook starts, its node is out of the
listener some milliseconds later, and the ingress stops when the hook has ended.

The guards hold here as well, listener by listener: `fresh` while pods cannot be listed, `never-empty` when all are being ended at once, `large-drop` when most of its
nodes have no such pod at all (a selector with a typo) or not the labels, `half`, `velocity` and `all-failing` for pods that are not Ready. A node that joins before the pods are known
waits; nobody who carries a listener loses it for that. When the last that carries a listener leaves as a node, nodes whose pod is not Ready or is being ended carry it again; without
one, the leaving node takes its new connections until it has left (decision 30).
";

/// The document.
pub fn eligibility_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    let (of_listeners, of_nodes): (Vec<Rule>, Vec<Rule>) = Rule::ALL.iter().partition(|rule| rule.is_of_listener());
    text.push_str(&table(&of_nodes));
    text.push_str(DRAIN);
    text.push_str("\n| guard | what it means |\n|---|---|\n");
    for guard in Guard::ALL {
        let _ = writeln!(text, "| `{}` | {} |", guard.name(), meaning(guard));
    }
    text.push_str(SHARES);
    text.push_str(LISTENERS);
    text.push_str(&table(&of_listeners));
    text
}

fn table(rules: &[Rule]) -> String {
    let mut text = String::from("\n| # | rule | observation | | what follows |\n|---|---|---|---|---|\n");
    for (number, rule) in rules.iter().enumerate() {
        let class = match rule.class() {
            Class::Voluntary => "V",
            Class::Involuntary => "I",
            Class::Neutral => "",
        };
        let (name, observation, verdict) = (rule.name(), rule.observation(), rule.verdict());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | `{name}` | {observation} | {class} | {verdict} |", number + 1);
    }
    text
}

const fn meaning(guard: Guard) -> &'static str {
    match guard {
        Guard::Fresh => {
            "Nothing involuntary, and no `gone`, unless the last complete LIST is younger than 1.5 resyncs (90 s); and nobody \
             comes back that was sent away. A controller that takes over with such a view believes nothing of it before the next \
             LIST; orders count all the same. The set is *frozen* meanwhile: status and metric `tidegate_frozen` say why and since when. Once it was stale, two \
             complete LISTs, 5 s apart, have to succeed before it is believed again."
        }
        Guard::NeverEmpty => {
            "The last active node stays, whatever is observed or asked for. When all turn NotReady together, all stay: what was \
             asked for goes first, what was observed is held."
        }
        Guard::Half => {
            "Involuntary removals leave at least half of those that served in the last 30 minutes. Who came back counts again; who \
             was sent away does not count any more."
        }
        Guard::Velocity => {
            "At most a fifth of them go involuntarily within five minutes (one always may). Who came back does not count."
        }
        Guard::AllFailing => {
            "When all of two or more seem to fail at once, nobody goes: that says more about the observer. Who went for such a reason \
             while the others were not reported yet, and still drains, is taken back. It ends when two complete LISTs have shown \
             somebody that is well."
        }
        Guard::LargeDrop => {
            "More than half going voluntarily in one step is looked at twice: two LISTs, at least 5 s apart, have to agree. When they \
             go because of `nodes.selector`, or because their Node objects are gone, that says nothing, and an operator has to \
             confirm it (`tidegate override large-drop`)."
        }
    }
}
