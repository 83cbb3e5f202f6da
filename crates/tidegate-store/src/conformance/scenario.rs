//! Random but repeatable logs: the same seed and state always give the same next entry.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::carriage::Apart;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::{Guard, OverrideChange};
use tidegate_core::ids::{ListenerName, NodeName, NodeUid};
use tidegate_core::log::{Change, Decision, LogEntry, LogState, Phase};
use tidegate_core::membership::{Member, MemberState};
use tidegate_core::node::{Weight, Zone};
use tidegate_core::order::{OrderChange, OrderKind};
use tidegate_core::position::{Revision, Term};
use tidegate_core::time::after;

use crate::{Store, StoreError, commit};

/// When every scenario begins: 2027-01-15T08:00:00Z.
const START: i64 = 1_800_000_000;

/// Text that ends a string, a line or a statement where quoting is wrong.
const HOSTILE: &str = "it's \"so\"; -- {$ne: 1}\n\u{1F6A2}\\u0000 \u{e9}";

/// A log that grows by one random entry at a time.
#[derive(Clone, Debug)]
pub struct Scenario {
    seed: u64,
    state: LogState,
}

impl Scenario {
    /// A log that has nothing yet.
    pub fn new(seed: u64) -> Self {
        Self::resume(seed, LogState::default())
    }

    /// A log that has reached this state.
    pub fn resume(seed: u64, state: LogState) -> Self {
        Self { seed, state }
    }

    /// What the entries so far add up to.
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// The next entry; the scenario counts on its being committed.
    pub fn advance(&mut self) -> LogEntry {
        let revision = self.state.position.revision.next();
        let mut random = Random::new(self.seed, revision);
        let at = at(revision);
        let entry = if random.below(10) == 0 {
            self.state.election(HOSTILE, at)
        } else {
            let changes = (0..random.below(4)).map(|_| self.change(&mut random, at)).collect();
            let orders = (0..random.below(6).saturating_sub(3)).map(|_| order(&mut random)).collect();
            let overrides = (0..random.below(8).saturating_sub(6)).map(|_| exception(&mut random, at)).collect();
            let repairs = (0..random.below(8).saturating_sub(5)).map(|n| format!("{n} {HOSTILE}")).collect();
            self.state.next_entry(self.term(), HOSTILE, at, Decision { changes, orders, overrides, repairs })
        };
        self.state.append(&entry).expect("a scenario follows the rules of the log");
        entry
    }

    /// Commits this many more entries, and answers them.
    pub async fn commit(&mut self, store: &dyn Store, count: usize) -> Result<Vec<LogEntry>, StoreError> {
        let mut entries = Vec::new();
        for _ in 0..count {
            let entry = self.advance();
            commit(store, &entry).await?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// An entry that could be next, by this holder, with one active node of this name.
    pub fn proposal(&self, holder: &str, node: &str) -> LogEntry {
        let at = at(self.state.position.revision.next());
        let (uid, name) = (uid(&format!("u-{node}")), name(node));
        let from = Phase::of(self.state.membership.get(&uid));
        let to = Some(member(node, 1, MemberState::Active, at));
        let change = Change { uid, node: name, from, to, rule: Rule::Eligible, observation: HOSTILE.to_owned() };
        self.state.next_entry(self.term(), holder, at, vec![change])
    }

    fn term(&self) -> Term {
        self.state.position.term.max(Term(1))
    }

    fn change(&self, random: &mut Random, at: Timestamp) -> Change {
        let node = format!("w{}", random.below(12));
        let uid = uid(&format!("u-{node}"));
        let address = random.below(200);
        let (to, rule) = match random.below(4) {
            0 => (None, Rule::Gone),
            1 => {
                let deadline = after(at, Duration::from_secs(30));
                (Some(member(&node, address, MemberState::Draining { deadline }, at)), Rule::NotReady)
            }
            _ => (Some(member(&node, address, MemberState::Active, at)), Rule::Eligible),
        };
        let from = Phase::of(self.state.membership.get(&uid));
        Change { uid, node: name(&node), from, to, rule, observation: HOSTILE.to_owned() }
    }
}

fn order(random: &mut Random) -> OrderChange {
    let node = format!("w{}", random.below(12));
    let kind = match random.below(3) {
        0 => OrderKind::Undrain,
        1 => OrderKind::Forget,
        _ => OrderKind::Drain,
    };
    let (uid, node) = (uid(&format!("u-{node}")), name(&node));
    OrderChange { uid, node, kind, by: HOSTILE.to_owned(), why: HOSTILE.to_owned() }
}

/// One that is over a few entries later, or in the next one.
fn exception(random: &mut Random, at: Timestamp) -> OverrideChange {
    let guard = if random.below(2) == 0 { Guard::Half } else { Guard::Velocity };
    let until = after(at, Duration::from_secs(1 + random.below(5)));
    OverrideChange { guard, until, by: HOSTILE.to_owned(), why: HOSTILE.to_owned() }
}

/// When the entry of this revision was written: one second after the one before, to the nanosecond.
pub fn at(revision: Revision) -> Timestamp {
    let start = Timestamp::from_second(START).unwrap_or_default();
    after(start, Duration::new(revision.0, 123_456_789))
}

/// A node's name.
pub fn name(text: &str) -> NodeName {
    NodeName::parse(text).expect("a node name of the suite")
}

/// A node's uid.
pub fn uid(text: &str) -> NodeUid {
    NodeUid::parse(text).expect("a node uid of the suite")
}

/// A member at `10.0.0.<address>`.
pub fn member(node: &str, address: u64, state: MemberState, since: Timestamp) -> Member {
    let last = u8::try_from(address).unwrap_or(u8::MAX);
    let listener = ListenerName::parse("http").expect("a listener name of the suite");
    let apart = Apart { deadline: Some(since), rule: Rule::PodEnding, reason: HOSTILE.to_owned(), since };
    let apart = address.is_multiple_of(2).then_some((listener, apart)).into_iter().collect();
    Member {
        node: name(node),
        hostname: format!("{node}.example.com"),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))],
        state,
        rule: Rule::Eligible,
        reason: HOSTILE.to_owned(),
        since,
        retiring: Vec::new(),
        apart,
        weight: Weight::new(1 + last % Weight::MOST).unwrap_or_default(),
        zone: Zone::parse("zone-a").ok(),
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): eight lines that give the same numbers on every machine, for ever.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of one step of one seed.
    pub fn new(seed: u64, revision: Revision) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ revision.0.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit` (which is not 0).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }
}
