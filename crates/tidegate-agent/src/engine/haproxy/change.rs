//! The way from what a process serves to what the file asks for. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use super::config::Config;
use super::live::{Live, LiveServer};
use super::server::Server;

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
        /// Whether somebody declared it down, which no check of ours ever takes back.
        down: bool,
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
    changes(live, wanted).map_or_else(|why| Distance::Reload { why }, Distance::Changes)
}

/// Or why no change leads there.
fn changes(live: &Live, wanted: &Config) -> Result<Vec<Change>, String> {
    let none = BTreeMap::new();
    let (mut changes, mut retired) = (Vec::new(), Vec::new());
    for (backend, servers) in &wanted.backends {
        let found = live.get(backend).unwrap_or(&none);
        for (name, server) in servers {
            match found.get(name) {
                Some(there) if is_as_wanted(there, server) => {}
                there => changes.push(change(format!("{backend}/{name}"), there, server)?),
            }
        }
        let is_ours = |name: &String| servers.contains_key(name) || wanted.is_fixed(backend, name);
        let surplus = found.iter().filter(|(name, _)| !is_ours(name));
        retired.extend(surplus.map(|(name, there)| retire(backend, name, there)));
    }
    changes.extend(retired);
    Ok(changes)
}

fn is_as_wanted(there: &LiveServer, server: &Server) -> bool {
    let is_it = there.address == Some(server.address) && server.id.is_none_or(|id| id == there.id);
    is_it && there.is_ready() && there.weight == server.weight
}

fn change(at: String, there: Option<&LiveServer>, server: &Server) -> Result<Change, String> {
    let Some(there) = there else { return Ok(Change::Add { at, server: server.clone() }) };
    if there.address != Some(server.address) {
        return Err(moved(&at, there.address, server.address));
    }
    if server.id.is_some_and(|id| id != there.id) {
        return Err(format!("server {at} has the number {}", there.id));
    }
    Ok(Change::Adjust { at, weight: server.weight, down: there.down })
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

    /// Whether it only gives clients more choice: such changes come first, and are proved before any other one is sent.
    pub const fn brings(&self) -> bool {
        match self {
            Self::Add { .. } => true,
            Self::Adjust { weight, .. } => *weight > 0,
            Self::Retire { .. } => false,
        }
    }

    /// As commands of the CLI. `del server` is refused while there are connections: then the server waits in maintenance.
    pub fn commands(&self) -> Vec<String> {
        match self {
            Self::Add { at, server } => server.added(at),
            Self::Adjust { at, weight, down } => {
                let mut commands = vec![format!("set server {at} weight {weight}")];
                if *down {
                    commands.push(format!("set server {at} health up"));
                }
                commands.push(format!("set server {at} state ready"));
                commands
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
            Self::Adjust { at, weight, .. } => write!(f, "server {at} is not ready with weight {weight}"),
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
            (
                (*name).to_owned(),
                LiveServer {
                    address: address.parse().ok(),
                    id: 7,
                    backend: 3,
                    weight: *weight,
                    admin: *admin,
                    down: false,
                },
            )
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
    fn what_brings_servers_is_told_from_what_takes_them() {
        let live = live(&[("a", "10.0.0.1:80", 1, 0), ("c", "10.0.0.3:80", 1, 0), ("d", "10.0.0.4:80", 1, 8)]);
        let servers = "server b 10.0.0.2:80\nserver c 10.0.0.3:80 weight 0\nserver d 10.0.0.4:80";
        let Distance::Changes(changes) = distance(&live, &wanted(servers)) else { panic!() };
        let (brings, takes): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.brings());
        let names = |changes: Vec<&Change>| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(names(brings), "server http/b is missing, server http/d is not ready with weight 1");
        assert_eq!(names(takes), "server http/c is not ready with weight 0, server http/a is there and should not be");
    }

    #[test]
    fn a_server_with_another_number_needs_a_reload() {
        let live = live(&[("a", "10.0.0.1:80", 1, 0)]);
        assert_eq!(distance(&live, &wanted("server a 10.0.0.1:80 id 7")), Distance::Changes(Vec::new()));
        assert!(matches!(distance(&live, &wanted("server a 10.0.0.1:80 id 8")), Distance::Reload { .. }));
    }

    #[test]
    fn servers_of_the_template_are_nobodys_surplus() {
        let live = live(&[("own", "10.0.0.1:80", 1, 0), ("many2", "10.0.0.1:80", 1, 0)]);
        let own = "server own host.example:80\nserver-template many 2 host.example:80";
        assert_eq!(distance(&live, &wanted(own)), Distance::Changes(Vec::new()));
    }

    #[test]
    fn a_server_that_moved_needs_a_reload() {
        let moved = distance(&live(&[("a", "10.0.0.7:80", 1, 0)]), &wanted("server a 10.0.0.1:80"));
        assert!(moved.describe().unwrap().contains("10.0.0.7:80 instead of 10.0.0.1:80"), "{moved:?}");
    }
}
