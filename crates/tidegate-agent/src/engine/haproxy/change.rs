//! The way from what a process serves to what the file asks for. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use super::config::{Config, Server};
use super::live::{Live, LiveServer};

/// One step of the Runtime API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A server that is not there.
    Add {
        /// `backend/server`
        at: String,
        /// What it is to be.
        server: Server,
    },
    /// A server whose share is another one, or which somebody took out.
    Adjust {
        /// `backend/server`
        at: String,
        /// Its share.
        weight: u32,
    },
    /// A server that the file does not have: it takes no more connections, and goes once it has none.
    Retire {
        /// `backend/server`
        at: String,
        /// Whether it is in maintenance already.
        begun: bool,
    },
}

/// How far a process is from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distance {
    /// These changes, in their order: additions first.
    Changes(Vec<Change>),
    /// Too far: only a reload leads there.
    Reload {
        /// Why.
        why: String,
    },
}

impl Distance {
    /// What is different, for people; nothing when only servers that left still have connections.
    pub fn describe(&self) -> Option<String> {
        match self {
            Self::Reload { why } => Some(why.clone()),
            Self::Changes(changes) => changes.iter().find(|change| !change.only_tidies()).map(ToString::to_string),
        }
    }
}

/// Compares servers; the structures are equal.
pub fn distance(live: &Live, wanted: &Config) -> Distance {
    let none = BTreeMap::new();
    let (mut changes, mut retired) = (Vec::new(), Vec::new());
    for (backend, servers) in &wanted.backends {
        let found = live.get(backend).unwrap_or(&none);
        for (name, server) in servers {
            let at = format!("{backend}/{name}");
            match found.get(name) {
                None => changes.push(Change::Add { at, server: server.clone() }),
                Some(there) if there.address != Some(server.address) => {
                    return Distance::Reload { why: moved(&at, there.address, server.address) };
                }
                Some(there) if there.is_ready() && there.weight == server.weight => {}
                Some(_) => changes.push(Change::Adjust { at, weight: server.weight }),
            }
        }
        let surplus = found.iter().filter(|(name, _)| !servers.contains_key(*name));
        retired.extend(surplus.map(|(name, there)| retire(backend, name, there)));
    }
    changes.extend(retired);
    Distance::Changes(changes)
}

fn retire(backend: &str, name: &str, there: &LiveServer) -> Change {
    Change::Retire { at: format!("{backend}/{name}"), begun: there.is_in_maintenance() }
}

fn moved(at: &str, from: Option<SocketAddr>, to: SocketAddr) -> String {
    match from {
        Some(from) => format!("server {at} is at {from} instead of {to}"),
        None => format!("server {at} has no address instead of {to}"),
    }
}

impl Change {
    /// Whether it changes nothing for clients.
    pub const fn only_tidies(&self) -> bool {
        matches!(self, Self::Retire { begun: true, .. })
    }

    /// As commands of the CLI. `del server` is refused while there are connections: then the server waits in maintenance.
    pub fn commands(&self) -> Vec<String> {
        match self {
            Self::Add { at, server } => {
                let options: String = server.options.iter().map(|word| format!(" {word}")).collect();
                let add = format!("add server {at} {} weight {}{options}", server.address, server.weight.max(1));
                let mut commands = vec![add];
                // A weight of 0 is refused by `add server` of some versions.
                if server.weight == 0 {
                    commands.push(format!("set server {at} weight 0"));
                }
                commands.push(format!("enable server {at}"));
                commands
            }
            Self::Adjust { at, weight } => {
                vec![format!("set server {at} weight {weight}"), format!("set server {at} state ready")]
            }
            Self::Retire { at, begun: false } => {
                vec![format!("set server {at} state maint"), format!("del server {at}")]
            }
            Self::Retire { at, begun: true } => vec![format!("del server {at}")],
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { at, .. } => write!(f, "server {at} is missing"),
            Self::Adjust { at, weight } => write!(f, "server {at} is not ready with weight {weight}"),
            Self::Retire { at, .. } => write!(f, "server {at} is there and should not be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(servers: &str) -> Config {
        Config::parse(&format!("backend http\n{servers}"))
    }

    fn live(servers: &[(&str, &str, u32, u32)]) -> Live {
        let server = |(name, address, weight, admin): &(&str, &str, u32, u32)| {
            ((*name).to_owned(), LiveServer { address: address.parse().ok(), weight: *weight, admin: *admin })
        };
        Live::from([("http".to_owned(), servers.iter().map(server).collect())])
    }

    fn commands(live: &Live, wanted: &Config) -> Vec<String> {
        match distance(live, wanted) {
            Distance::Changes(changes) => changes.iter().flat_map(Change::commands).collect(),
            Distance::Reload { why } => panic!("{why}"),
        }
    }

    #[test]
    fn additions_come_first_and_what_leaves_is_in_maintenance_before_it_goes() {
        let wanted = wanted("server b 10.0.0.2:80 weight 1 send-proxy\nserver c 10.0.0.3:80 weight 0");
        let live = live(&[("a", "10.0.0.1:80", 1, 0), ("c", "10.0.0.3:80", 1, 0)]);
        assert_eq!(
            commands(&live, &wanted),
            [
                "add server http/b 10.0.0.2:80 weight 1 send-proxy",
                "enable server http/b",
                "set server http/c weight 0",
                "set server http/c state ready",
                "set server http/a state maint",
                "del server http/a",
            ]
        );
    }

    #[test]
    fn what_is_as_it_should_be_needs_nothing_and_what_waits_to_go_is_no_difference() {
        let wanted = wanted("server a 10.0.0.1:80 weight 1");
        assert_eq!(distance(&live(&[("a", "10.0.0.1:80", 1, 0)]), &wanted), Distance::Changes(Vec::new()));
        let waiting = distance(&live(&[("a", "10.0.0.1:80", 1, 0), ("z", "10.0.0.9:80", 1, 1)]), &wanted);
        assert_eq!(waiting.describe(), None);
        let disabled = distance(&live(&[("a", "10.0.0.1:80", 1, 1)]), &wanted);
        assert_eq!(disabled.describe().unwrap(), "server http/a is not ready with weight 1");
    }

    #[test]
    fn a_server_that_moved_needs_a_reload() {
        let moved = distance(&live(&[("a", "10.0.0.7:80", 1, 0)]), &wanted("server a 10.0.0.1:80"));
        assert!(moved.describe().unwrap().contains("10.0.0.7:80 instead of 10.0.0.1:80"), "{moved:?}");
    }
}
