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
/// `srv_op_state` of a server that is down.
const STOPPED: u32 = 0;
/// Bit of `srv_check_state` and `srv_agent_state`: there is such a check (`CHK_ST_CONFIGURED`).
const CONFIGURED: u32 = 0x02;

/// One server of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveServer {
    /// Where it is; nothing when it has no address (a host name that was not resolved).
    pub address: Option<SocketAddr>,
    /// Its number.
    pub id: u32,
    /// The number of its backend.
    pub backend: u32,
    /// Its share of new connections.
    pub weight: u32,
    /// As it is.
    pub admin: u32,
    /// Whether somebody declared it down: it is not up, and neither a check nor an agent says so.
    pub down: bool,
}

impl LiveServer {
    /// Whether nobody has taken it out by the Runtime API.
    pub const fn is_ready(&self) -> bool {
        self.admin == READY && !self.down
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

/// Where the columns are that matter. They are found by their names: later versions add some.
struct Columns {
    backend_id: usize,
    backend: usize,
    server: usize,
    id: usize,
    address: usize,
    port: usize,
    weight: usize,
    admin: usize,
    operation: usize,
    check: usize,
    agent: usize,
}

impl Columns {
    fn parse(header: &str) -> Result<Self, Unreadable> {
        let names: Vec<&str> = header.split_whitespace().collect();
        let column = |name: &str| {
            names.iter().position(|n| *n == name).ok_or_else(|| Unreadable { what: format!("no column {name}") })
        };
        Ok(Self {
            backend_id: column("be_id")?,
            backend: column("be_name")?,
            server: column("srv_name")?,
            id: column("srv_id")?,
            address: column("srv_addr")?,
            port: column("srv_port")?,
            weight: column("srv_uweight")?,
            admin: column("srv_admin_state")?,
            operation: column("srv_op_state")?,
            check: column("srv_check_state")?,
            agent: column("srv_agent_state")?,
        })
    }

    /// Backend, server, and how it is.
    fn read(&self, line: &str) -> Result<(String, String, LiveServer), Unreadable> {
        let unreadable = |what: &str| Unreadable { what: format!("{what}: {line:?}") };
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |at: usize| words.get(at).copied().ok_or_else(|| unreadable("a line is short"));
        let number = |at: usize| word(at)?.parse::<u32>().map_err(|_| unreadable("no number"));
        let ip: Option<IpAddr> = word(self.address)?.parse().ok();
        let port = u16::try_from(number(self.port)?).map_err(|_| unreadable("no port"))?;
        // A template's own checks may say so; then it is none of our business.
        let is_checked = number(self.check)? & CONFIGURED != 0 || number(self.agent)? & CONFIGURED != 0;
        let admin = number(self.admin)?;
        let found = LiveServer {
            address: ip.map(|ip| SocketAddr::new(ip, port)),
            id: number(self.id)?,
            backend: number(self.backend_id)?,
            weight: number(self.weight)?,
            admin,
            down: number(self.operation)? == STOPPED && !is_checked && admin & MAINTENANCE == 0,
        };
        Ok((word(self.backend)?.to_owned(), word(self.server)?.to_owned(), found))
    }
}

/// Reads the answer.
pub fn parse(answer: &str) -> Result<Live, Unreadable> {
    let unreadable = |what: &str| Unreadable { what: what.to_owned() };
    // A worker that ends in the middle of it must not seem to have fewer servers.
    if !answer.is_empty() && !answer.ends_with("\n\n") {
        return Err(unreadable("it has no end"));
    }
    let mut lines = answer.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("1") {
        return Err(unreadable("it does not begin with format 1"));
    }
    let header = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or_else(|| unreadable("it has no header"))?;
    let columns = Columns::parse(header)?;
    let mut live = Live::new();
    for line in lines {
        let (backend, server, found) = columns.read(line)?;
        live.entry(backend).or_default().insert(server, found);
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
        assert_eq!(
            one,
            LiveServer { address: "10.0.0.1:80".parse().ok(), id: 1, backend: 3, weight: 1, admin: 0, down: false }
        );
        let other = live["http"]["fd00--1_80"];
        assert!(one.is_ready() && other.is_in_maintenance() && other.weight == 0);
    }

    #[test]
    fn another_answer_is_an_error_that_says_what() {
        for (answer, what) in [
            ("", "format 1"),
            ("2\n\n", "format 1"),
            ("1\nx\n\n", "header"),
            ("1\n# be_id be_name\n\n", "no column srv_name"),
        ] {
            assert!(parse(answer).unwrap_err().to_string().contains(what), "{answer:?}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_no_answer() {
        for cut in 0..ANSWER.len() {
            assert!(parse(&ANSWER[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_server_that_is_down_without_a_check_was_declared_so() {
        let down = |check: &str| {
            let answer = ANSWER.replace("10.0.0.1 2 0 1 1 5 1 0 0 0 0", &format!("10.0.0.1 0 0 1 1 5 1 0 0 {check} 0"));
            parse(&answer).unwrap()["http"]["10-0-0-1_80"].down
        };
        assert!(down("0"));
        assert!(!down("6"), "its check says so");
        assert!(!parse(ANSWER).unwrap()["http"]["fd00--1_80"].down, "it is in maintenance");
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
