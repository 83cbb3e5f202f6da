//! Network namespaces that stand for machines: a switch with a bridge, and hosts plugged into it.
//!
//! Every link lives inside our namespaces; nothing is added to the root namespace. Since no lab is
//! connected to anything, all labs use the same addresses.

mod commands;
mod host;
pub(crate) mod thread;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};

use crate::{run, sweep};
pub use host::Host;
pub use thread::Task;

/// Where `ip netns` keeps the names.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Hosts get .1 to .254.
const MAX_HOSTS: u8 = 254;

/// A switch and the hosts on it. Dropping it kills what runs inside and removes the namespaces.
#[derive(Debug)]
pub struct Lab {
    switch: String,
    hosts: BTreeMap<String, Host>,
    next: u8,
}

impl Lab {
    /// An empty lab. Needs root, and says so.
    pub fn new() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab needs root, for network namespaces: run as root, e.g. `sudo -E cargo test`"
        );
        crate::servers::ensure_packages()?;
        let switch = namespace("switch")?;
        commands::add_namespace(&switch)?;
        // From here on, dropping the lab removes the namespace, also when the next step fails.
        let lab = Self { switch, hosts: BTreeMap::new(), next: 1 };
        commands::in_namespace(&lab.switch, "link add br0 type bridge forward_delay 0\nlink set br0 up")?;
        Ok(lab)
    }

    /// A new host with a link to the switch and addresses of both families.
    pub fn add_host(&mut self, role: &str) -> Result<Host> {
        ensure!(!self.hosts.contains_key(role), "the lab already has a host {role}");
        ensure!(self.next <= MAX_HOSTS, "the lab has no address left for {role}");
        let number = self.next;
        self.next += 1;
        let host = Host::new(role, namespace(role)?, &self.switch, number);
        commands::add_namespace(host.namespace())?;
        self.hosts.insert(role.to_owned(), host.clone());
        commands::plug_in(&host)?;
        Ok(host)
    }

    /// Switches a host off for good: kills its processes and removes its namespace.
    pub fn remove_host(&mut self, role: &str) -> Result<()> {
        let host = self.hosts.remove(role).with_context(|| format!("the lab has no host {role}"))?;
        sweep::remove_namespace(host.namespace());
        Ok(())
    }

    pub fn host(&self, role: &str) -> Result<&Host> {
        self.hosts.get(role).with_context(|| format!("the lab has no host {role}"))
    }

    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.hosts.values() {
            sweep::remove_namespace(host.namespace());
        }
        sweep::remove_namespace(&self.switch);
    }
}

pub(crate) fn ipv4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

pub(crate) fn ipv6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into())
}

/// The first addresses of a host, IPv4 first, as a kubelet reports them.
pub fn addresses(host: &Host) -> Vec<IpAddr> {
    vec![host.ipv4().into(), host.ipv6().into()]
}

fn namespace(role: &str) -> Result<String> {
    let run = run::current()?;
    Ok(format!("{}{}-{role}", run::namespace_prefix(std::process::id()), run.number()))
}
