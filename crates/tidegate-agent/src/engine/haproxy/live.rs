//! What a process says it serves: the answer to `show servers state`. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Servers of each backend by their names.
pub type Live = BTreeMap<String, BTreeMap<String, LiveServer>>;

/// `srv_admin_state` of a server that takes connections (haproxy management.txt, "show servers state").
const READY: u32 = 0;
/// Bits of `srv_admin_state` that mean maintenance: forced, inherited, by configuration, by DNS.
const MAINTENANCE: u32 = 0x01 | 0x02 | 0x04 | 0x20;

/// One server of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveServer {
    /// Where it is; nothing when it has no address (a host name that was not resolved).
    pub address: Option<SocketAddr>,
    /// Its share of new connections.
    pub weight: u32,
    /// As it is.
    pub admin: u32,
}

impl LiveServer {
    /// Whether nobody has taken it out by the Runtime API.
    pub const fn is_ready(&self) -> bool {
        self.admin == READY
    }

    /// Whether it is in maintenance: no new connections, those it has live on.
    pub const fn is_in_maintenance(&self) -> bool {
        self.admin & MAINTENANCE != 0
    }
}

/// An answer that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("HAProxy's answer to `show servers state` cannot be read: {what}")]
pub struct Unreadable {
    what: String,
}

/// Reads the answer. Columns are found by their names: later versions add some.
pub fn parse(answer: &str) -> Result<Live, Unreadable> {
    let unreadable = |what: &str| Unreadable { what: what.to_owned() };
    let mut lines = answer.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("1") {
        return Err(unreadable("it does not begin with format 1"));
    }
    let header = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or_else(|| unreadable("it has no header"))?;
    let columns: Vec<&str> = header.split_whitespace().collect();
    let column =
        |name: &str| columns.iter().position(|c| *c == name).ok_or_else(|| unreadable(&format!("no column {name}")));
    let [backend, server, address, admin, weight, port] =
        ["be_name", "srv_name", "srv_addr", "srv_admin_state", "srv_uweight", "srv_port"].map(column);
    let (backend, server, address, admin, weight, port) = (backend?, server?, address?, admin?, weight?, port?);
    let mut live = Live::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |at: usize| words.get(at).copied().ok_or_else(|| unreadable(&format!("a line is short: {line:?}")));
        let number = |at: usize| word(at)?.parse::<u32>().map_err(|_| unreadable(&format!("no number in {line:?}")));
        let ip: Option<IpAddr> = word(address)?.parse().ok();
        let port = u16::try_from(number(port)?).map_err(|_| unreadable(&format!("no port in {line:?}")))?;
        let found = LiveServer {
            address: ip.map(|ip| SocketAddr::new(ip, port)),
            weight: number(weight)?,
            admin: number(admin)?,
        };
        live.entry(word(backend)?.to_owned()).or_default().insert(word(server)?.to_owned(), found);
    }
    Ok(live)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As HAProxy 2.6.12 writes it.
    const ANSWER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n3 http 1 10-0-0-1_80 10.0.0.1 2 0 1 1 5 1 0 0 0 0 0 0 - 80 - 0 0 - - 0\n3 http 2 fd00--1_80 fd00::1 0 1 0 1 5 1 0 0 0 0 0 0 - 80 - 0 0 - - 0\n\n";

    #[test]
    fn servers_are_read_with_address_weight_and_state() {
        let live = parse(ANSWER).unwrap();
        let one = live["http"]["10-0-0-1_80"];
        assert_eq!(one, LiveServer { address: "10.0.0.1:80".parse().ok(), weight: 1, admin: 0 });
        let other = live["http"]["fd00--1_80"];
        assert!(one.is_ready() && other.is_in_maintenance() && other.weight == 0);
    }

    #[test]
    fn another_answer_is_an_error_that_says_what() {
        for (answer, what) in
            [("", "format 1"), ("2\n", "format 1"), ("1\nx", "header"), ("1\n# be_name", "no column srv_name")]
        {
            assert!(parse(answer).unwrap_err().to_string().contains(what), "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(text in ".{0,400}", cut in 0usize..900, tail in "[ -~\\n]{0,60}") {
            drop(parse(&text));
            let cut = cut.min(ANSWER.len());
            drop(parse(&format!("{}{tail}", &ANSWER[..cut])));
        }
    }
}
