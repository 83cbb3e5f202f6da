//! What nft scripts need beside the listeners: names of maps and sets, slots, the mark.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use minijinja::Value;
use serde::Serialize;
use tidegate_core::desired::{Backend, Balance, DesiredState, Listener, Protocol};
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::slots::{Weighted, hashed, turns};
use crate::engine::failure::permanent;
use crate::settings::{Masquerade, NftablesSettings};
use crate::template::view::ListenerView;
use crate::template::view::list::{Item, Lines, List, Memo};
use crate::template::{Template, Vetted};

/// `nft` in templates.
#[derive(Clone, Debug, Serialize)]
pub struct NftView {
    /// Name of our table (family inet).
    pub table: Vetted,
    /// The conntrack mark of connections that are ours: what is masqueraded, counted and, with their backend gone, ended.
    pub mark: u32,
    /// Whether nodes see the load balancer's address.
    pub masquerade: bool,
}

/// One listener in templates: a [`ListenerView`] with backends of its own family only, and
#[derive(Clone, Debug, Serialize)]
pub struct NftListenerView {
    #[serde(flatten)]
    listener: ListenerView,
    /// the name of its map: `tcp4-http`;
    pub pool: Vetted,
    /// the name of the set of its source ranges;
    pub ranges: Vetted,
    /// the name of the set that counts its connections: another limit counts anew;
    pub count: Vetted,
    /// whether it listens on every address of the machine;
    pub any_address: bool,
    /// the source ranges of its family, none inside another;
    pub own_ranges: Vec<Vetted>,
    /// what its map holds, from key 0.
    pub slots: Slots,
}

/// Elements of a map.
pub type Slots = List<SlotView>;
/// Lines about them.
pub type SlotMemo = Memo<SlotView>;

/// One element: its `key`, and `ip` and `port` of its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotView {
    key: usize,
    backend: SocketAddr,
}

impl Item for SlotView {
    const NAME: &'static str = "slot";
    const ATTRIBUTES: &'static [&'static str] = &["key", "ip", "port"];

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "key" => Some(Value::from(self.key)),
            "ip" => Some(Value::from_object(Vetted::from(self.backend.ip()))),
            "port" => Some(Value::from(self.backend.port())),
            _ => None,
        }
    }
}

impl NftView {
    /// For these settings.
    pub fn new(settings: &NftablesSettings) -> Self {
        Self {
            table: Vetted::word(&settings.table),
            mark: mark(&settings.table),
            masquerade: settings.masquerade == Masquerade::Always,
        }
    }
}

/// A mark that two tables of ours on one machine do not share: `tg` in its upper half, a hash of the name in the lower.
pub fn mark(table: &str) -> u32 {
    // FNV-1a: the same in every version, as connections outlive an upgrade.
    let hash = table.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    0x7467_0000 | ((hash >> 16) ^ (hash & 0xFFFF))
}

/// The listeners of a state that are to be opened.
pub fn listeners(state: &DesiredState, memo: &SlotMemo) -> Result<Vec<NftListenerView>, Failure> {
    let is_reachable = |listener: &&Listener| {
        let mut active = state.pool(&listener.name).iter().filter(|backend| backend.is_active()).peekable();
        active.peek().is_none() || active.any(|backend| of_family(listener, backend))
    };
    if let Some(listener) = state.listeners.iter().find(|listener| !is_reachable(listener)) {
        return Err(unreachable_family(listener));
    }
    let views = ListenerView::with_those(state, None, of_family);
    let listener = |view: &ListenerView| state.listeners.iter().find(|l| l.name.as_str() == view.name.as_str());
    Ok(views.into_iter().filter_map(|view| Some(NftListenerView::new(listener(&view)?, view, state, memo))).collect())
}

impl NftListenerView {
    fn new(listener: &Listener, view: ListenerView, state: &DesiredState, memo: &SlotMemo) -> Self {
        let ipv6 = listener.bind.is_ipv6();
        let active: Vec<Weighted> = state
            .pool(&listener.name)
            .iter()
            .filter(|b| b.is_active() && of_family(listener, b))
            .map(|b| (SocketAddr::new(b.address, b.port), b.weight))
            .collect();
        let slots = if listener.balance == Balance::Source { hashed(&active) } else { turns(&active) };
        let slots = slots.into_iter().enumerate().map(|(key, backend)| SlotView { key, backend }).collect();
        let about = Template::context(&ListenerView::without_backends(listener));
        let lines = Lines::of_listener(memo, listener, &about, false);
        let (protocol, family) =
            (if listener.protocol == Protocol::Udp { "udp" } else { "tcp" }, if ipv6 { 6 } else { 4 });
        let name = &listener.name;
        let most = view.max_connections.unwrap_or_default();
        Self {
            pool: Vetted::word(&format!("{protocol}{family}-{name}")),
            ranges: Vetted::word(&format!("ranges{family}-{name}")),
            count: Vetted::word(&format!("count-{most}-{name}")),
            any_address: listener.bind.ip().is_unspecified(),
            own_ranges: ranges_of_family(&listener.source_ranges, ipv6).into_iter().map(Vetted::from).collect(),
            slots: List::of(slots, Some(lines)),
            listener: view,
        }
    }

    /// How many elements and backends it takes to write.
    pub fn size(&self) -> usize {
        self.slots.len() + self.listener.len()
    }
}

fn of_family(listener: &Listener, backend: &Backend) -> bool {
    backend.address.is_ipv6() == listener.bind.is_ipv6()
}

/// The kernel refuses an interval inside another one.
fn ranges_of_family(ranges: &[IpNet], ipv6: bool) -> Vec<IpNet> {
    let of_family: Vec<IpNet> =
        ranges.iter().filter(|range| matches!(range.addr(), IpAddr::V6(_)) == ipv6).map(IpNet::trunc).collect();
    IpNet::aggregate(&of_family)
}

fn unreachable_family(listener: &Listener) -> Failure {
    let (own, other) = if listener.bind.is_ipv6() { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
    let message = format!(
        "listener {} listens on {own} and its active nodes have {other} addresses only: the kernel's NAT does not \
         translate between the two",
        listener.name
    );
    permanent(
        Step::Render,
        message,
        format!("bind it to an {other} address, give the nodes {own} ones, or use another engine"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_a_mark_of_its_own() {
        assert_ne!(mark("tidegate"), mark("tidegate2"));
        assert_eq!(mark("tidegate") >> 16, 0x7467);
    }

    #[test]
    fn ranges_are_of_the_listeners_family_and_none_holds_another() {
        let ranges = ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "192.0.2.7/24"].map(|r| r.parse().unwrap());
        let texts = |ipv6| ranges_of_family(&ranges, ipv6).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(false), ["10.0.0.0/8", "192.0.2.0/24"]);
        assert_eq!(texts(true), ["fd00::/8"]);
    }
}
