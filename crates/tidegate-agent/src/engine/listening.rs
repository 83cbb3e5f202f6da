//! Who listens where on this machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::procfs::{self, Pid};

/// How long a killed program may need to let go; 10 ms on an idle machine.
const ENDING: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

/// State of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// A TCP address in use by somebody other than `ours`, who would keep one of `wanted` from being bound.
///
/// Asked before a program is told to bind: HAProxy lets go of its ports for a while when it cannot have a new one.
pub fn taken(wanted: &[SocketAddr], ours: &[Pid]) -> Option<SocketAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let listening: Vec<(SocketAddr, String)> =
        tables.iter().flat_map(|table| table.lines()).filter_map(listener).collect();
    let clashes = |wanted: &SocketAddr| -> Vec<&str> {
        let with = listening.iter().filter(|(at, _)| overlaps(*wanted, *at));
        with.map(|(_, inode)| inode.as_str()).collect()
    };
    let suspects: Vec<_> =
        wanted.iter().map(|at| (*at, clashes(at))).filter(|(_, inodes)| !inodes.is_empty()).collect();
    if suspects.is_empty() {
        return None;
    }
    let own: BTreeSet<String> = ours.iter().flat_map(|pid| procfs::open_files(*pid)).collect();
    let foreign = |inodes: &[&str]| inodes.iter().any(|inode| !own.contains(&format!("socket:[{inode}]")));
    suspects.into_iter().find(|(_, inodes)| foreign(inodes)).map(|(at, _)| at)
}

/// The same, once whoever is ending has ended: a killed program keeps its ports until the kernel has taken it apart, and is
/// nobody's meanwhile.
pub async fn still_taken(wanted: &[SocketAddr], ours: impl Fn() -> Vec<Pid>) -> Option<SocketAddr> {
    let deadline = Instant::now() + ENDING;
    loop {
        let at = taken(wanted, &ours())?;
        if Instant::now() > deadline {
            return Some(at);
        }
        sleep(POLL).await;
    }
}

fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (any || one.ip() == other.ip())
}

/// Address and inode of a line of /proc/net/tcp or tcp6, if it listens.
fn listener(line: &str) -> Option<(SocketAddr, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = words.get(1)?.split_once(':')?;
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes())),
        32 => IpAddr::V6(v6(address)?),
        _ => return None,
    };
    Some((SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?), (*words.get(9)?).to_owned()))
}

/// Four words in the byte order of the machine.
fn v6(hex: &str) -> Option<Ipv6Addr> {
    let mut octets = Vec::with_capacity(16);
    for at in (0..32).step_by(8) {
        octets.extend(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    <[u8; 16]>::try_from(octets).ok().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_others_hold_is_taken_and_what_we_hold_is_not() {
        for host in ["127.0.0.1", "::1"] {
            let held = TcpListener::bind((host, 0)).unwrap();
            let at = held.local_addr().unwrap();
            let me = Pid::try_from(std::process::id()).unwrap();
            assert_eq!(taken(&[at], &[]), Some(at));
            assert_eq!(taken(&[at], &[me]), None);
            let any: IpAddr = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            assert_eq!(taken(&[SocketAddr::new(any, at.port())], &[]), Some(SocketAddr::new(any, at.port())));
            drop(held);
            assert_eq!(taken(&[at], &[]), None);
        }
    }

    #[tokio::test]
    async fn who_lets_go_soon_is_waited_for_and_who_does_not_is_told() {
        let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let at = held.local_addr().unwrap();
        assert_eq!(still_taken(&[at], Vec::new).await, Some(at));
        let begun = Instant::now();
        let lets_go = async {
            sleep(ENDING / 2).await;
            drop(held);
        };
        let (wanted, ours) = ([at], Vec::new);
        let (taken, ()) = tokio::join!(still_taken(&wanted, ours), lets_go);
        assert_eq!(taken, None);
        assert!(begun.elapsed() < ENDING);
    }
}
