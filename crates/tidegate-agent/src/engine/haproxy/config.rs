//! What a configuration asks for: its structure, and the servers of each backend. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use tidegate_core::hash::ContentHash;

/// A configuration, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Hash of everything but the servers: equal structures differ in what the Runtime API can change.
    pub structure: ContentHash,
    /// Servers of each backend by their names.
    pub backends: BTreeMap<String, BTreeMap<String, Server>>,
    /// Where it listens, as far as these are addresses.
    pub binds: Vec<SocketAddr>,
}

/// One server with what the Runtime API can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share; 0 for a draining one, which keeps its connections and gets no new ones.
    pub weight: u32,
    /// The other words of its line. They belong to the structure: nobody can ask a process for them.
    pub options: Vec<String>,
}

impl Config {
    /// Takes a text apart. A server whose line is not understood (a host name, say) is part of the structure.
    pub fn parse(text: &str) -> Self {
        let mut skeleton = String::new();
        let mut backends: BTreeMap<String, BTreeMap<String, Server>> = BTreeMap::new();
        let mut shapes = BTreeSet::new();
        let (mut section, mut binds) = (String::new(), Vec::new());
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                // The header and the structure itself say nothing of the structure.
                [] | ["description", ..] => continue,
                [first, ..] if first.starts_with('#') => continue,
                ["backend" | "listen", name, ..] => {
                    section = (*name).to_owned();
                    backends.entry(section.clone()).or_default();
                }
                ["frontend" | "global" | "defaults" | "peers" | "userlist" | "program" | "resolvers" | "ring", ..] => {
                    section.clear();
                }
                ["bind", address, ..] => binds.extend(address.parse::<SocketAddr>()),
                ["server", name, address, options @ ..] if !section.is_empty() => {
                    if let Some(server) = Server::parse(address, options) {
                        shapes.insert((section.clone(), server.options.clone()));
                        backends.entry(section.clone()).or_default().insert((*name).to_owned(), server);
                        continue;
                    }
                }
                _ => {}
            }
            skeleton.push_str(&words.join(" "));
            skeleton.push('\n');
        }
        skeleton.push_str(&format!("{shapes:?}"));
        Self { structure: ContentHash::of_bytes(skeleton.as_bytes()), backends, binds }
    }
}

impl Server {
    fn parse(address: &str, options: &[&str]) -> Option<Self> {
        let address = address.parse().ok()?;
        let at = options.iter().position(|word| *word == "weight");
        let weight = match at {
            Some(at) => options.get(at + 1)?.parse().ok()?,
            None => 1,
        };
        let is_weight = |n: usize| at.is_some_and(|at| n == at || n == at + 1);
        let options =
            options.iter().enumerate().filter(|(n, _)| !is_weight(*n)).map(|(_, w)| (*w).to_owned()).collect();
        Some(Self { address, weight, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# x\nglobal\n    description abc\ndefaults\n    mode tcp\nfrontend http\n    bind 10.0.0.1:80\n    \
                        default_backend http\nbackend http\n    balance random\n    server a 10.0.0.2:80 weight 1 send-proxy\n";

    #[test]
    fn servers_are_taken_out_and_the_rest_is_the_structure() {
        let config = Config::parse(TEXT);
        let server = &config.backends["http"]["a"];
        assert_eq!((server.address, server.weight), ("10.0.0.2:80".parse().unwrap(), 1));
        assert_eq!(server.options, ["send-proxy"]);
        assert_eq!(config.binds, ["10.0.0.1:80".parse().unwrap()]);
        for same in [
            TEXT.replace("description abc", "description def"),
            TEXT.replace("# x", "# y"),
            TEXT.replace("10.0.0.2", "10.0.0.3"),
            TEXT.replace("weight 1", "weight 0"),
            format!("{TEXT}    server b 10.0.0.9:80 send-proxy\n"),
        ] {
            assert_eq!(Config::parse(&same).structure, config.structure, "{same}");
        }
        for other in [
            TEXT.replace("balance random", "balance leastconn"),
            TEXT.replace("bind 10.0.0.1:80", "bind 10.0.0.1:81"),
            TEXT.replace("send-proxy", "send-proxy-v2"),
            format!("{TEXT}    server b host.example:80 send-proxy\n"),
        ] {
            assert_ne!(Config::parse(&other).structure, config.structure, "{other}");
        }
    }
}
