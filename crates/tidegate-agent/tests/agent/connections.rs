//! Connections as the kernel counts them, held against `/proc/net/tcp` and `/proc/net/tcp6`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with};
use tidegate_agent::connections::Connections;

use crate::traffic::{connect_from, own_address, until};

/// As /proc/net/tcp writes them.
const SYN_SENT: &str = "02";
const FIN_WAIT2: &str = "05";
const TIME_WAIT: &str = "06";
const CLOSE_WAIT: &str = "08";

fn count(to: SocketAddr) -> u64 {
    Connections::count(&HashSet::from([to])).unwrap().to(to)
}

/// The states of all sockets whose far end this is, by the kernel's older account.
fn states(far_end: SocketAddr) -> Vec<String> {
    let address = match far_end.ip() {
        IpAddr::V4(ip) => hex(&ip.octets()),
        IpAddr::V6(ip) => hex(&ip.octets()),
    };
    let mapped = match far_end.ip() {
        IpAddr::V4(ip) => hex(&ip.to_ipv6_mapped().octets()),
        IpAddr::V6(_) => address.clone(),
    };
    let wanted = [address, mapped].map(|a| format!("{a}:{:04X}", far_end.port()));
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|t| std::fs::read_to_string(t).unwrap());
    let rows = tables.iter().flat_map(|t| t.lines().skip(1)).map(|l| l.split_whitespace().collect::<Vec<_>>());
    rows.filter(|r| wanted.iter().any(|w| w == r[2])).map(|r| r[3].to_owned()).collect()
}

/// Groups of four bytes in the machine's order.
fn hex(octets: &[u8]) -> String {
    let word = |w: &[u8]| u32::from_ne_bytes(w.try_into().unwrap());
    octets.chunks(4).map(|w| format!("{:08X}", word(w))).collect::<Vec<_>>().concat()
}

fn accepting(ip: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[test]
fn every_family_is_counted_at_its_own_address() {
    let ip = own_address();
    let ends = [IpAddr::V4(ip), IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(ip)].map(accepting);
    let [four, six, other] = [ends[0].1, ends[1].1, ends[2].1];
    let mapped = SocketAddr::V6(SocketAddrV6::new(ip.to_ipv6_mapped(), four.port(), 0, 0));
    let open: Vec<TcpStream> = [four, four, six, mapped].map(|to| TcpStream::connect(to).unwrap()).into();
    assert_eq!([four, six, other, mapped].map(count), [3, 1, 0, 3]);
    // Also when they are counted together; what was not asked for is not told.
    let all = Connections::count(&HashSet::from([four, other])).unwrap();
    assert_eq!([four, six, other].map(|to| all.to(to)), [3, 0, 0]);
    drop((open, ends));
    until("both ends are closed", || [four, six].map(count) == [0, 0]);
}

#[test]
fn an_accepted_connection_counts_for_the_one_who_opened_it() {
    let ip = own_address();
    let (server, at) = accepting(ip.into());
    // From an address of its own: at 127.0.0.1, which the kernel would choose, the neighbours' tests open connections to elsewhere from the same port.
    let (client, near_end) = (connect_from((ip, 0).into(), at).unwrap(), server.accept().unwrap().1);
    assert_eq!(client.local_addr().unwrap(), near_end);
    assert_eq!(near_end.ip(), ip);
    assert_eq!([at, near_end].map(count), [1, 1]);
}

#[test]
fn closing_is_seen_at_once_and_what_only_waits_is_not_counted() {
    let (listener, at) = accepting(own_address().into());
    let pair = || (TcpStream::connect(at).unwrap(), listener.accept().unwrap().0);
    let (idle, half_closed_by_us, half_closed_by_them) = (pair(), pair(), pair());
    assert_eq!(count(at), 3);
    half_closed_by_us.0.shutdown(Shutdown::Write).unwrap();
    half_closed_by_them.1.shutdown(Shutdown::Write).unwrap();
    until("both are half closed", || [FIN_WAIT2, CLOSE_WAIT].iter().all(|s| states(at).iter().any(|t| t == s)));
    assert_eq!(count(at), 3, "an answer may still come: {:?}", states(at));

    // The end that closes first keeps the connection in mind; a kernel in a hurry may forget it, so that another has to close.
    until("one waits", || {
        let (client, server) = pair();
        drop(client);
        drop(server);
        states(at).iter().any(|s| s == TIME_WAIT)
    });
    assert_eq!(count(at), 3, "{:?}", states(at));
    drop((idle, half_closed_by_us, half_closed_by_them));
    until("nothing is left but waiting ones", || count(at) == 0);
    assert!(states(at).iter().all(|s| s == TIME_WAIT), "{:?}", states(at));
}

#[test]
fn a_connection_that_is_being_opened_counts() {
    let full = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&full, &SocketAddr::from((own_address(), 0))).unwrap();
    listen(&full, 0).unwrap();
    let at = SocketAddr::try_from(getsockname(&full).unwrap()).unwrap();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let knock = || {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        _ = connect(&socket, &at);
        socket
    };
    let knocking: Vec<_> = (0..4).map(|_| knock()).collect();
    assert!(states(at).iter().any(|s| s == SYN_SENT), "{:?}", states(at));
    assert_eq!(count(at), 4);
    drop((knocking, full));
    until("nobody knocks", || count(at) == 0);
}

#[test]
fn a_list_of_many_pieces_is_read_to_its_end() {
    let ends = [(); 4].map(|()| accepting(own_address().into()));
    let [one, two, three, _] = [0, 1, 2, 3].map(|n| ends[n].1);
    // About 100 bytes each: ten pieces of 32 KiB at least.
    let pair = |(server, at): &(TcpListener, SocketAddr)| (TcpStream::connect(at).unwrap(), server.accept().unwrap());
    let open: Vec<_> = (0..3000).map(|n| pair(&ends[n % 3])).collect();
    let all: HashSet<SocketAddr> = ends.iter().map(|(_, at)| *at).collect();
    let counted = Connections::count(&all).unwrap();
    assert_eq!([one, two, three].map(|to| counted.to(to)), [1000; 3]);
    assert_eq!(counted.to(ends[3].1), 0);
    assert_eq!([one, two, three].map(|to| states(to).len()), [1000; 3]);
    drop(open);
}

#[test]
fn neighbouring_ports_are_told_apart_however_many_are_asked_for() {
    let ip = own_address();
    let (server, at) = accepting(ip.into());
    let (other, elsewhere) = accepting(ip.into());
    let open = [TcpStream::connect(at).unwrap(), TcpStream::connect(elsewhere).unwrap()];
    // One program for the kernel's filter holds some 1,600 ports: below and above that.
    for wide in [0, 1, 50, 1000, 5000] {
        let ports = at.port().saturating_sub(wide)..=at.port().saturating_add(wide);
        let to: HashSet<SocketAddr> = ports.clone().map(|port| (ip, port).into()).collect();
        let counted = Connections::count(&to).unwrap();
        assert_eq!(counted.to(at), 1, "{wide} ports on either side");
        assert_eq!(counted.to(elsewhere), u64::from(ports.contains(&elsewhere.port())));
    }
    drop((open, server, other));
}

#[test]
fn an_address_that_nothing_leads_to_has_none() {
    assert_eq!(count((Ipv4Addr::new(192, 0, 2, 1), 80).into()), 0);
    assert_eq!(Connections::count(&HashSet::new()).unwrap(), Connections::default());
}
