//! What the worker was proved to serve, so that a change among thousands of servers need not ask for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::change::Change;
use super::config::Config;
use super::live::Live;
use super::row::Found;
use super::runtime::Worker;
use super::server::Server;
use crate::engine::procfs::Pid;

/// Up to so many servers all are read back after each change: that takes no longer than to ask for a few.
const READ_BACK: usize = 256;
/// More changes at a time than this are proved by reading all back.
const MOST: usize = 64;

/// What is known of a worker.
#[derive(Clone, Debug)]
struct Known {
    worker: Pid,
    /// The number of each backend.
    backends: BTreeMap<String, u32>,
    /// What it was proved to serve.
    config: Arc<Config>,
}

/// The newest proof; none while a change is under way, or after anything that was not as expected.
#[derive(Debug, Default)]
pub struct Proof(Mutex<Option<Known>>);

impl Proof {
    /// The worker's servers were read, all of them, and are those of the configuration.
    pub fn whole(&self, worker: Pid, live: &Live, config: Arc<Config>) {
        let number = |servers: &BTreeMap<_, super::live::LiveServer>| servers.values().next().map(|s| s.backend);
        let backends = live.iter().filter_map(|(name, servers)| Some((name.clone(), number(servers)?)));
        *self.known() = Some(Known { worker, backends: backends.collect(), config });
    }

    /// Nothing is known any more.
    pub fn forget(&self) {
        self.known().take();
    }

    /// Brings the worker from what it was proved to serve to what is wanted, and asks for the servers that differ; whether
    /// servers that left still have connections. Nothing when that is not possible, or did not lead there: whoever reads
    /// all servers finds out where it led.
    pub async fn by_difference(&self, worker: &Worker, wanted: &Arc<Config>) -> Option<bool> {
        let known = self.known().take()?;
        if known.worker != worker.info.pid || wanted.server_count() <= READ_BACK {
            return None;
        }
        let steps = steps(&known, wanted)?;
        let (brings, takes): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.change.brings());
        let mut leftovers = false;
        for part in [brings, takes] {
            leftovers |= take(worker, &part).await?;
        }
        *self.known() = Some(Known { config: wanted.clone(), ..known });
        Some(leftovers)
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One server that differs, and the questions about it.
struct Step<'a> {
    backend: &'a str,
    name: &'a str,
    change: Change,
    to: Option<&'a Server>,
    questions: [String; 2],
}

/// From what is known to what is wanted; nothing when only reading all servers, or a reload, leads there.
fn steps<'a>(known: &'a Known, wanted: &'a Config) -> Option<Vec<Step<'a>>> {
    let mut steps = Vec::new();
    for (backend, servers) in &wanted.backends {
        for (name, from, to) in differences(known.config.backends.get(backend)?, servers) {
            let (change, id) = change(format!("{backend}/{name}"), from, to)?;
            let number = known.backends.get(backend)?;
            let questions = [format!("show stat {number} 4 {id}"), format!("get weight {backend}/{name}")];
            steps.push(Step { backend, name, change, to, questions });
        }
    }
    (steps.len() <= MOST).then_some(steps)
}

type Difference<'a> = (&'a String, Option<&'a Server>, Option<&'a Server>);

/// Servers that are not the same in both, in the order of their names.
fn differences<'a>(from: &'a BTreeMap<String, Server>, to: &'a BTreeMap<String, Server>) -> Vec<Difference<'a>> {
    let (mut before, mut after) = (from.iter().peekable(), to.iter().peekable());
    let mut differences = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return differences,
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        let (old, new) =
            (old.map(|(name, server)| (name, Some(server))), new.map(|(name, server)| (name, Some(server))));
        let (from, to) = (old.and_then(|(_, server)| server), new.and_then(|(_, server)| server));
        if let Some((name, _)) = old.or(new).filter(|_| from != to) {
            differences.push((name, from, to));
        }
    }
}

/// With the number of the server; nothing when there is no such change, or no number.
fn change(at: String, from: Option<&Server>, to: Option<&Server>) -> Option<(Change, u32)> {
    match (from, to) {
        (None, Some(to)) => Some((Change::Add { at, server: to.clone() }, to.id?)),
        (Some(from), None) => Some((Change::Retire { at, begun: false }, from.id?)),
        (Some(from), Some(to)) => {
            let is_same = (from.address, from.id, &from.options) == (to.address, to.id, &to.options);
            is_same.then_some((Change::Adjust { at, weight: to.weight, down: false }, to.id?))
        }
        (None, None) => None,
    }
}

/// Takes these steps and asks what came of each; whether a server that left still has connections.
async fn take(worker: &Worker, steps: &[&Step<'_>]) -> Option<bool> {
    let changes: Vec<Change> = steps.iter().map(|step| step.change.clone()).collect();
    worker.send(&changes).await.ok()?;
    let mut leftovers = false;
    for step in steps {
        let answer = worker.ask(&format!("{}\n", step.questions.join("; "))).await.ok()?;
        match (Found::parse(&answer, step.backend, step.name), step.to) {
            (Found::There(row), Some(server)) if row.is(server) => {}
            (Found::There(row), None) if row.is_in_maintenance() => leftovers = true,
            (Found::Nowhere, None) => {}
            (found, _) => {
                tracing::debug!(?found, backend = step.backend, server = step.name, "HAProxy is not as expected");
                return None;
            }
        }
    }
    Some(leftovers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(servers: &str) -> Known {
        let config = Arc::new(Config::parse(&format!("backend http\n{servers}")));
        Known { worker: 1, backends: BTreeMap::from([("http".to_owned(), 3)]), config }
    }

    fn taken(from: &str, to: &str) -> Option<Vec<String>> {
        let wanted = Config::parse(&format!("backend http\n{to}"));
        let known = known(from);
        let steps = steps(&known, &wanted)?;
        Some(steps.iter().map(|step| format!("{}: {}", step.change, step.questions.join("; "))).collect())
    }

    #[test]
    fn only_servers_that_differ_are_asked_for() {
        let from = "server a 10.0.0.1:80 id 1\nserver b 10.0.0.2:80 id 2\nserver c 10.0.0.3:80 id 3";
        let to = "server b 10.0.0.2:80 id 2\nserver c 10.0.0.3:80 id 3 weight 0\nserver d 10.0.0.4:80 id 4";
        assert_eq!(
            taken(from, to).unwrap(),
            [
                "server http/a is there and should not be: show stat 3 4 1; get weight http/a",
                "server http/c is not ready with weight 0: show stat 3 4 3; get weight http/c",
                "server http/d is missing: show stat 3 4 4; get weight http/d",
            ]
        );
        assert_eq!(taken(from, from).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_the_runtime_api_cannot_do_or_nobody_can_ask_for_is_left_to_a_whole_look() {
        let from = "server a 10.0.0.1:80 id 1\nserver n 10.0.0.9:80";
        for to in [
            "server a 10.0.0.2:80 id 1\nserver n 10.0.0.9:80",
            "server a 10.0.0.1:80 id 2\nserver n 10.0.0.9:80",
            "server a 10.0.0.1:80 id 1 send-proxy\nserver n 10.0.0.9:80",
            "server a 10.0.0.1:80 id 1",
            "server a 10.0.0.1:80 id 1\nserver n 10.0.0.9:80\nserver m 10.0.0.8:80",
        ] {
            assert_eq!(taken(from, to), None, "{to}");
        }
        let many: Vec<String> = (0..=MOST).map(|n| format!("server s{n} 10.0.1.{n}:80 id {}", n + 10)).collect();
        assert_eq!(taken("", &many.join("\n")), None);
    }
}
