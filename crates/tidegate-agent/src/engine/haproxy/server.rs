//! One server's line. Pure.

use std::net::SocketAddr;

/// One server with what the Runtime API can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share; 0 for a draining one, which keeps its connections and gets no new ones.
    pub weight: u32,
    /// Its number. HAProxy hashes it for `balance source`, and gives out the next free one when there is none: a client
    /// would move whenever a server came another way.
    pub id: Option<u32>,
    /// The other words of its line. They belong to the structure: nobody can ask a process for them.
    pub options: Vec<String>,
}

impl Server {
    /// Reads what follows the name; nothing when the address is none.
    pub fn parse(address: &str, options: &[&str]) -> Option<Self> {
        let mut server = Self { address: address.parse().ok()?, weight: 1, id: None, options: Vec::new() };
        let mut words = options.iter();
        while let Some(word) = words.next() {
            match *word {
                "weight" => server.weight = words.next()?.parse().ok()?,
                "id" => server.id = Some(words.next()?.parse().ok()?),
                other => server.options.push(other.to_owned()),
            }
        }
        Some(server)
    }

    /// The commands that add it as `at`, that is `backend/server`.
    pub fn added(&self, at: &str) -> Vec<String> {
        let mut words = vec![format!("add server {at} {} weight {}", self.address, self.weight.max(1))];
        words.extend(self.id.map(|id| format!("id {id}")));
        words.extend(self.options.iter().cloned());
        let mut commands = vec![words.join(" ")];
        // A weight of 0 is refused by `add server` of some versions.
        if self.weight == 0 {
            commands.push(format!("set server {at} weight 0"));
        }
        commands.push(format!("enable server {at}"));
        commands
    }
}
