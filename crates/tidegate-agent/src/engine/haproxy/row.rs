//! What a process says of single servers: the answers to `show stat <backend> 4 <server>` and `get weight`. Pure.

use std::net::SocketAddr;

use super::server::Server;

/// HAProxy's answer to a question about a server that it does not have.
const NOBODY: &str = "No such server.";

/// One server's line of statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    address: Option<SocketAddr>,
    id: u32,
    weight: u32,
    status: String,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    There(Row),
    /// HAProxy has no such server.
    Nowhere,
    /// The answer says neither.
    Unclear,
}

impl Found {
    /// Reads the answer to both questions about one server of a backend, the statistics first.
    pub fn parse(answer: &str, backend: &str, server: &str) -> Self {
        let mut lines = answer.lines().map(str::trim).filter(|line| !line.is_empty());
        let Some(columns) = lines.next().and_then(|line| line.strip_prefix("# ")).map(fields) else {
            return Self::Unclear;
        };
        let rest: Vec<&str> = lines.collect();
        match rest.as_slice() {
            [NOBODY] => Self::Nowhere,
            [row, _weight] => Row::parse(&columns, &fields(row), backend, server).map_or(Self::Unclear, Self::There),
            _ => Self::Unclear,
        }
    }
}

impl Row {
    /// Nothing when it is another server's, or a column is missing. Columns are found by their names: later versions add
    /// some.
    fn parse(columns: &[String], row: &[String], backend: &str, server: &str) -> Option<Self> {
        let value = |name: &str| row.get(columns.iter().position(|column| column == name)?).map(String::as_str);
        if value("pxname")? != backend || value("svname")? != server {
            return None;
        }
        Some(Self {
            address: value("addr")?.parse().ok(),
            id: value("sid")?.parse().ok()?,
            weight: value("weight")?.parse().ok()?,
            status: value("status")?.to_owned(),
        })
    }

    /// Whether it is exactly this server, and nobody has taken it out. Anything doubtful is not.
    pub fn is(&self, server: &Server) -> bool {
        let takes = match self.status.as_str() {
            "no check" | "UP" => server.weight > 0,
            // A weight of 0 is shown so.
            "DRAIN" => server.weight == 0,
            _ => false,
        };
        takes && self.address == Some(server.address) && server.id == Some(self.id) && self.weight == server.weight
    }

    /// Whether it is in maintenance: no new connections, those that it has live on.
    pub fn is_in_maintenance(&self) -> bool {
        self.status == "MAINT"
    }
}

/// A line of CSV; quotation marks may hold commas.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "# pxname,svname,scur,status,weight,iid,sid,last_chk,addr,\nhttp,a,0,no check,1,3,7,\"x, y\",10.0.0.1:80,\n\n1 (initial 1)\n\n";

    fn server(line: &str) -> Server {
        let words: Vec<&str> = line.split(' ').collect();
        Server::parse(words[0], &words[1..]).unwrap()
    }

    fn there(answer: &str) -> Row {
        match Found::parse(answer, "http", "a") {
            Found::There(row) => row,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_what_it_should_be_when_every_word_fits() {
        let row = there(ANSWER);
        assert!(row.is(&server("10.0.0.1:80 id 7 weight 1")) && !row.is_in_maintenance());
        for other in [
            "10.0.0.2:80 id 7 weight 1",
            "10.0.0.1:80 id 8 weight 1",
            "10.0.0.1:80 id 7 weight 2",
            "10.0.0.1:80 weight 1",
        ] {
            assert!(!row.is(&server(other)), "{other}");
        }
        for status in ["MAINT", "DRAIN", "DOWN", "UP 1/2", "NOLB"] {
            let row = there(&ANSWER.replace("no check", status));
            assert!(!row.is(&server("10.0.0.1:80 id 7 weight 1")), "{status}");
            assert_eq!(row.is_in_maintenance(), status == "MAINT");
        }
        let draining = there(&ANSWER.replace("no check,1", "DRAIN,0"));
        assert!(draining.is(&server("10.0.0.1:80 id 7 weight 0")));
    }

    #[test]
    fn a_server_is_gone_only_when_haproxy_says_so() {
        let header = "# pxname,svname,scur,status,weight,iid,sid,last_chk,addr,\n\n";
        assert_eq!(Found::parse(&format!("{header}No such server.\n\n"), "http", "a"), Found::Nowhere);
        for answer in [
            "",
            header,
            "No such server.\n\n",
            &format!("{header}No such backend.\n\n"),
            &format!("{header}1 (initial 1)\n"),
        ] {
            assert_eq!(Found::parse(answer, "http", "a"), Found::Unclear, "{answer:?}");
        }
        assert_eq!(Found::parse(ANSWER, "http", "b"), Found::Unclear, "another one's line");
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(text in ".{0,300}", cut in 0_usize..200, tail in "[ -~\\n]{0,60}") {
            drop(Found::parse(&text, "http", "a"));
            drop(Found::parse(&format!("{}{tail}", &ANSWER[..cut.min(ANSWER.len())]), "http", "a"));
        }
    }
}
