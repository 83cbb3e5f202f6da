//! A log of a cluster with many nodes, that goes on by one change at a time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use tidegate_core::eligibility::Rule;
use tidegate_core::ids::{ClusterName, NodeName, NodeUid};
use tidegate_core::log::{Change, LogEntry, LogState, Phase};
use tidegate_core::membership::{Member, MemberState};
use tidegate_core::node::Weight;
use tidegate_core::position::Term;
use tidegate_store::{NodeDocument, Store, commit};

const HOLDER: &str = "bench";

pub(super) struct BenchLog {
    cluster: ClusterName,
    state: LogState,
    nodes: u16,
}

impl BenchLog {
    /// All nodes have joined.
    pub async fn fill(cluster: &ClusterName, store: &dyn Store, nodes: u16) -> Result<Self> {
        let mut log = Self { cluster: cluster.clone(), state: LogState::default(), nodes };
        let changes: Vec<Change> = (0..nodes).map(|number| log.change_of(number, 0)).collect::<Result<_>>()?;
        let entry = log.state.next_entry(Term(1), HOLDER, Timestamp::now(), changes);
        log.write(store, &entry).await?;
        store.write_snapshot(&log.state.to_snapshot(Timestamp::now())).await?;
        Ok(log)
    }

    /// One node gets another address: one entry, one document. Answers how long the commit took.
    pub async fn change(&mut self, store: &dyn Store, round: usize) -> Result<Duration> {
        let number = u16::try_from(round % usize::from(self.nodes))?;
        let change = self.change_of(number, u8::try_from(round % 200)? + 1)?;
        let entry = self.state.next_entry(Term(1), HOLDER, Timestamp::now(), vec![change]);
        let started = Instant::now();
        commit(store, &entry).await?;
        let took = started.elapsed();
        self.follow(store, &entry).await?;
        Ok(took)
    }

    async fn write(&mut self, store: &dyn Store, entry: &LogEntry) -> Result<()> {
        commit(store, entry).await?;
        self.follow(store, entry).await
    }

    /// What comes after a commit and holds nobody up: the documents for people.
    async fn follow(&mut self, store: &dyn Store, entry: &LogEntry) -> Result<()> {
        self.state.append(entry)?;
        let (active, removed) = NodeDocument::of_changes(&self.cluster, &entry.changes);
        Ok(store.write_nodes(&active, &removed).await?)
    }

    fn change_of(&self, number: u16, net: u8) -> Result<Change> {
        let uid = NodeUid::parse(format!("00000000-0000-4000-8000-{number:012}"))?;
        let [high, low] = number.to_be_bytes();
        let name = format!("worker-{number}");
        let to = Member {
            node: NodeName::parse(&*name)?,
            hostname: name,
            addresses: vec![IpAddr::V4(Ipv4Addr::new(10, net, high, low))],
            state: MemberState::Active,
            rule: Rule::Eligible,
            reason: "Ready".to_owned(),
            since: Timestamp::now(),
            retiring: Vec::new(),
            apart: BTreeMap::new(),
            weight: Weight::ONE,
            zone: None,
        };
        let from = Phase::of(self.state.membership.get(&uid));
        let (node, observation) = (to.node.clone(), "Ready".to_owned());
        Ok(Change { uid, node, from, to: Some(to), rule: Rule::Eligible, observation })
    }
}
