//! What a configuration asks for: its structure, and the servers of each backend. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use tidegate_core::hash::ContentHash;

use super::server::Server;

/// A configuration, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Hash of everything but the servers: equal structures differ in what the Runtime API can change.
    pub structure: ContentHash,
    /// Servers of each backend by their names.
    pub backends: BTreeMap<String, BTreeMap<String, Server>>,
    /// Where it listens, as far as these are addresses.
    pub binds: Vec<SocketAddr>,
    fixed: Fixed,
}

/// Servers that belong to the structure: a template's own, of which only their names are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fixed {
    /// Backend and server.
    names: BTreeSet<(String, String)>,
    /// Backend and the beginning of the names that a `server-template` makes.
    prefixes: BTreeSet<(String, String)>,
}

impl Config {
    /// Takes a text apart.
    ///
    /// A server is part of the structure when its line is not understood (a host name, say), or when a `default-server`
    /// counts for it: a server that is added to a running process gets none of that.
    pub fn parse(text: &str) -> Self {
        let (mut reader, mut words) = (Reader::default(), Vec::new());
        for line in text.lines() {
            words.clear();
            words.extend(line.split_ascii_whitespace());
            reader.read(&words);
        }
        reader.finish()
    }

    /// How many servers it has that are none of the structure.
    pub fn server_count(&self) -> usize {
        self.backends.values().map(BTreeMap::len).sum()
    }

    /// Whether a server that a process has belongs to the structure.
    pub fn is_fixed(&self, backend: &str, server: &str) -> bool {
        let made = |(at, prefix): &(String, String)| {
            let number = server.strip_prefix(prefix.as_str()).filter(|_| at == backend);
            number.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
        };
        self.fixed.names.contains(&(backend.to_owned(), server.to_owned())) || self.fixed.prefixes.iter().any(made)
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    skeleton: String,
    backends: BTreeMap<String, BTreeMap<String, Server>>,
    /// Of the backend that is read; put into `backends` when it ends.
    servers: Vec<(String, Server)>,
    shapes: BTreeSet<(String, Vec<String>)>,
    binds: Vec<SocketAddr>,
    fixed: Fixed,
    /// The backend that is read; empty elsewhere.
    section: String,
    in_defaults: bool,
    /// Whether `default-server` counts in every section, and in this one.
    inherited: bool,
    own: bool,
}

impl Reader {
    fn read(&mut self, words: &[&str]) {
        match words {
            // The header and the structure itself say nothing of the structure.
            [] | ["description", ..] => return,
            [first, ..] if first.starts_with('#') => return,
            ["backend" | "listen", name, ..] => {
                self.enter(name);
                self.backends.entry(self.section.clone()).or_default();
            }
            ["defaults", ..] => {
                self.enter("");
                (self.in_defaults, self.inherited) = (true, false);
            }
            [
                "frontend" | "global" | "peers" | "userlist" | "program" | "resolvers" | "ring" | "cache" | "mailers",
                ..,
            ] => {
                self.enter("");
            }
            ["bind", address, ..] => self.binds.extend(address.parse::<SocketAddr>()),
            ["default-server", ..] if self.in_defaults => self.inherited = true,
            ["default-server", ..] => self.own = true,
            ["server", name, address, options @ ..]
                if !self.section.is_empty() && self.take_server(name, address, options) =>
            {
                return;
            }
            ["server-template", prefix, ..] => {
                self.fixed.prefixes.insert((self.section.clone(), (*prefix).to_owned()));
            }
            _ => {}
        }
        self.skeleton.push_str(&words.join(" "));
        self.skeleton.push('\n');
    }

    fn enter(&mut self, section: &str) {
        self.leave();
        section.clone_into(&mut self.section);
        (self.in_defaults, self.own) = (false, false);
    }

    /// All servers of a backend at once: one after the other, each would look for its place.
    fn leave(&mut self) {
        let servers = std::mem::take(&mut self.servers);
        if servers.is_empty() {
            return;
        }
        let mut shapes: Vec<&Vec<String>> = servers.iter().map(|(_, server)| &server.options).collect();
        // Most are like the one before.
        shapes.dedup();
        self.shapes.extend(shapes.into_iter().map(|options| (self.section.clone(), options.clone())));
        let servers: BTreeMap<String, Server> = servers.into_iter().collect();
        self.backends.entry(self.section.clone()).or_default().extend(servers);
    }

    /// Whether the server is none of the structure.
    fn take_server(&mut self, name: &str, address: &str, options: &[&str]) -> bool {
        let known = Server::parse(address, options).filter(|_| !self.inherited && !self.own);
        let Some(server) = known else {
            self.fixed.names.insert((self.section.clone(), name.to_owned()));
            return false;
        };
        self.servers.push((name.to_owned(), server));
        true
    }

    fn finish(mut self) -> Config {
        self.leave();
        let Self { skeleton, backends, shapes, binds, fixed, .. } = self;
        let structure = ContentHash::of_bytes(format!("{skeleton}{shapes:?}").as_bytes());
        Config { structure, backends, binds, fixed }
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

    #[test]
    fn an_id_is_the_servers_own_and_no_part_of_the_structure() {
        let with = TEXT.replace("weight 1", "id 4711 weight 1");
        let config = Config::parse(&with);
        let server = &config.backends["http"]["a"];
        assert_eq!((server.id, server.weight, server.options.clone()), (Some(4711), 1, vec!["send-proxy".to_owned()]));
        assert_eq!(config.structure, Config::parse(&TEXT.replace("weight 1", "id 8")).structure);
    }

    #[test]
    fn servers_of_a_template_are_known_by_their_names() {
        let more = format!("{TEXT}    server own host.example:80\n    server-template many 3 host.example:80\n");
        let config = Config::parse(&more);
        for (name, fixed) in
            [("own", true), ("many1", true), ("many33", true), ("many", false), ("manyx", false), ("a", false)]
        {
            assert_eq!(config.is_fixed("http", name), fixed, "{name}");
        }
        assert!(!config.is_fixed("other", "own") && !config.is_fixed("other", "many1"));
    }

    #[test]
    fn what_default_server_counts_for_is_the_structures() {
        let defaults = "defaults\n    default-server send-proxy\n";
        let backend = |name: &str, more: &str| format!("backend {name}\n    {more}\n    server a 10.0.0.1:80\n");
        for text in [format!("{defaults}{}", backend("http", "")), backend("http", "default-server check")] {
            let config = Config::parse(&text);
            assert!(config.backends["http"].is_empty() && config.is_fixed("http", "a"), "{text}");
        }
        // It ends with the section, or with the next defaults.
        let other = format!("{}{}", backend("one", "default-server check"), backend("two", ""));
        assert!(Config::parse(&other).backends["two"].contains_key("a"));
        let again = format!("{defaults}defaults\n{}", backend("two", ""));
        assert!(Config::parse(&again).backends["two"].contains_key("a"));
    }
}
