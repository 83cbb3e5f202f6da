//! Connections that the kernel leads to our backends (conntrack): how many, and ending those whose backend is gone.
//!
//! A connection that was begun keeps its backend, whatever becomes of the maps: that is what a drain needs, and
//! what makes a dead node's clients send to it again and again. Only connections with our mark are ever touched.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::routes::Route;
use super::script::Script;
use super::words;
use crate::command::{CommandLine, CommandRunner, Finished};
use crate::engine::failure::{from_command, permanent};

/// 262,144 connections, the kernel's usual limit, are listed in about 1 s.
const LIMIT: Duration = Duration::from_secs(20);
/// States of TCP in which no more data can come: not open any more, or not yet.
const NOT_OPEN: [&str; 4] = ["NONE", "SYN_SENT", "TIME_WAIT", "CLOSE"];

/// Asks and tells conntrack about connections with our mark.
#[derive(Clone)]
pub struct Flows {
    program: PathBuf,
    mark: String,
    commands: Arc<dyn CommandRunner>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The way that it takes.
    pub route: Route,
    /// Whether it is a TCP connection that is open.
    pub open: bool,
}

impl Flows {
    /// Of connections with this mark.
    pub fn new(program: &Path, mark: u32, commands: Arc<dyn CommandRunner>) -> Self {
        Self { program: program.to_owned(), mark: format!("{mark}/0xffffffff"), commands }
    }

    /// How many TCP connections are open to each backend.
    pub async fn open_to(&self, to: &HashSet<SocketAddr>) -> Result<HashMap<SocketAddr, u64>, Failure> {
        let mut counted = HashMap::new();
        for family in families(to.iter()) {
            for flow in self.list(family, &["-p", "tcp"]).await? {
                if flow.open && to.contains(&flow.route.backend) {
                    *counted.entry(flow.route.backend).or_default() += 1;
                }
            }
        }
        Ok(counted)
    }

    /// Whether any TCP connection is open.
    pub async fn any_open(&self) -> Result<bool, Failure> {
        for family in ["ipv4", "ipv6"] {
            if self.list(family, &["-p", "tcp"]).await?.iter().any(|flow| flow.open) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every route that connections take and the script does not allow.
    pub async fn stray(&self, script: &Script) -> Result<BTreeSet<Route>, Failure> {
        let mut stray = BTreeSet::new();
        for family in ["ipv4", "ipv6"] {
            let routes = self.list(family, &[]).await?.into_iter().map(|flow| flow.route);
            stray.extend(routes.filter(|route| !script.allows(route)));
        }
        Ok(stray)
    }

    /// Ends every connection on a route.
    pub async fn end(&self, route: &Route) -> Result<(), Failure> {
        let mut args: Vec<String> = ["-D", "-f", family(&route.backend), "-p", if route.udp { "udp" } else { "tcp" }]
            .map(str::to_owned)
            .to_vec();
        if !route.bind.ip().is_unspecified() {
            args.extend(["-d".to_owned(), route.bind.ip().to_string()]);
        }
        args.extend(["--dport".to_owned(), route.bind.port().to_string()]);
        args.extend(["--reply-src".to_owned(), route.backend.ip().to_string()]);
        args.extend(["--reply-port-src".to_owned(), route.backend.port().to_string()]);
        args.extend(["-m".to_owned(), self.mark.clone()]);
        let ended = self.run(args).await?;
        // Status 1 also means that there was none.
        let none = ended.output.contains(" 0 flow entries have been deleted");
        if ended.success || none { Ok(()) } else { Err(words::from_output(Step::Reload, &ended.output)) }
    }

    /// Tells of connections that are listed in a file as commands of conntrack's.
    pub async fn introduce(&self, list: &Path) -> Result<(), Failure> {
        let ended = self.run(vec!["-R".to_owned(), list.display().to_string()]).await?;
        let cure = "use conntrack 1.4.7 or newer, as root or with CAP_NET_ADMIN; see that net.netfilter.nf_conntrack_max is large enough";
        if ended.success { Ok(()) } else { Err(permanent(Step::Reload, ended.output.trim(), cure)) }
    }

    async fn list(&self, family: &str, more: &[&str]) -> Result<Vec<Flow>, Failure> {
        let args = ["-L", "-f", family, "-m", &self.mark].iter().chain(more).map(|&arg| arg.to_owned()).collect();
        let ended = self.run(args).await?;
        if !ended.success {
            return Err(words::from_output(Step::Verify, &ended.output));
        }
        Ok(ended.output.lines().filter_map(read).collect())
    }

    async fn run(&self, args: Vec<String>) -> Result<Finished, Failure> {
        let args = args.into_iter().map(OsString::from).collect();
        let command = CommandLine { program: self.program.clone(), args, limit: LIMIT };
        self.commands.run(&command).await.map_err(|e| from_command(Step::Reload, &e))
    }
}

fn family(address: &SocketAddr) -> &'static str {
    if address.is_ipv6() { "ipv6" } else { "ipv4" }
}

fn families<'a>(to: impl Iterator<Item = &'a SocketAddr>) -> BTreeSet<&'static str> {
    to.map(family).collect()
}

/// One line of conntrack's; nothing for what is no connection of TCP or UDP.
///
/// `tcp 6 431998 ESTABLISHED src=C dst=L sport=1 dport=80 src=B dst=C sport=8080 dport=1 [ASSURED] mark=7 use=1`
pub fn read(line: &str) -> Option<Flow> {
    let mut words = line.split_whitespace();
    let udp = match words.next()? {
        "tcp" => false,
        "udp" => true,
        _ => return None,
    };
    let state = words.nth(2)?;
    let value = |name: &str, nth: usize| {
        let found = line.split_whitespace().filter_map(|word| word.strip_prefix(name)).nth(nth);
        found.and_then(|value| value.strip_prefix('='))
    };
    let bind = SocketAddr::new(value("dst", 0)?.parse().ok()?, value("dport", 0)?.parse().ok()?);
    let backend = SocketAddr::new(value("src", 1)?.parse().ok()?, value("sport", 1)?.parse().ok()?);
    Some(Flow { route: Route { udp, bind, backend }, open: !udp && !NOT_OPEN.contains(&state) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ESTABLISHED: &str = "tcp      6 431998 ESTABLISHED src=127.0.0.1 dst=127.0.0.2 sport=49214 dport=8080 src=127.0.0.1 dst=127.0.0.1 sport=8081 dport=49214 [ASSURED] mark=1952907222 use=1";
    const DATAGRAMS: &str = "udp      17 29 src=fd77::1 dst=fd77::2 sport=40000 dport=53 [UNREPLIED] src=fd77::3 dst=fd77::1 sport=5353 dport=40000 mark=1952907222 use=1";

    #[test]
    fn a_line_is_read_by_both_directions() {
        let flow = read(ESTABLISHED).unwrap();
        let route =
            Route { udp: false, bind: "127.0.0.2:8080".parse().unwrap(), backend: "127.0.0.1:8081".parse().unwrap() };
        assert_eq!(flow, Flow { route, open: true });
        let flow = read(DATAGRAMS).unwrap();
        let route =
            Route { udp: true, bind: "[fd77::2]:53".parse().unwrap(), backend: "[fd77::3]:5353".parse().unwrap() };
        assert_eq!(flow, Flow { route, open: false });
    }

    #[test]
    fn a_connection_that_ended_is_not_open() {
        for (state, open) in [("TIME_WAIT", false), ("SYN_SENT", false), ("FIN_WAIT", true), ("CLOSE_WAIT", true)] {
            assert_eq!(read(&ESTABLISHED.replace("ESTABLISHED", state)).unwrap().open, open, "{state}");
        }
    }

    #[test]
    fn what_is_no_connection_is_no_flow() {
        for line in [
            "",
            "conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.",
            "icmp 1 29 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=1 src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=1 use=1",
            "tcp 6",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_stops_the_reader(line in "\\PC{0,200}", cut in 0..ESTABLISHED.len(), junk in "[a-z0-9=.: ]{0,20}") {
            read(&line);
            read(&format!("{}{junk}{}", &ESTABLISHED[..cut], &ESTABLISHED[cut..]));
        }
    }
}
