//! One conversation with the kernel: a question, then its answer in datagrams.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_sock_diag::constants::IPPROTO_TCP;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with};

use super::CountError;
use super::message::{Ends, Family, Piece, next_piece, request};

/// The kernel never makes a datagram of a list longer than 32 KiB.
const DATAGRAM: usize = 32 * 1024;
/// The kernel answers at once; without a limit an answer that is lost would hold a thread for ever.
const LIMIT: Duration = Duration::from_secs(5);

/// Calls `see` with the ends of each open TCP connection of a family to one of these ports, and maybe to others.
pub fn each_connection(family: Family, ports: &BTreeSet<u16>, see: impl FnMut(Ends)) -> Result<(), CountError> {
    ask(family, &request(family, IPPROTO_TCP, ports), see)
}

fn ask(family: Family, question: &[u8], mut see: impl FnMut(Ends)) -> Result<(), CountError> {
    let socket = open().map_err(|e| CountError::Open { source: e.into() })?;
    let list = |e: rustix::io::Errno| CountError::List { family, source: e.into() };
    let malformed = |detail: String| CountError::Malformed { family, detail };
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&socket, question, SendFlags::empty(), &kernel).map_err(list)?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        // With TRUNC the length is the real one, also of a datagram that did not fit.
        let (_, length) = recv(&socket, buffer.as_mut_slice(), RecvFlags::TRUNC).map_err(list)?;
        let mut rest = buffer.get(..length).ok_or_else(|| malformed(format!("a datagram of {length} bytes")))?;
        if rest.is_empty() {
            return Err(CountError::List { family, source: io::ErrorKind::UnexpectedEof.into() });
        }
        while let Some((piece, more)) = next_piece(rest).map_err(|e| malformed(e.to_string()))? {
            match piece {
                Piece::Connection(ends) => see(ends),
                Piece::End => return Ok(()),
                Piece::Refused(source) => return Err(CountError::Refused { family, source }),
            }
            rest = more;
        }
    }
}

fn open() -> rustix::io::Result<OwnedFd> {
    let protocol = Some(netlink::SOCK_DIAG);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_cannot_list_is_not_taken_for_one_without_connections() {
        // No kernel has a lister of this protocol (RFC 3692: for experiments), as one without tcp_diag has none of TCP.
        let error = ask(Family::V4, &request(Family::V4, 253, &[80].into()), |_| ()).unwrap_err();
        assert!(matches!(&error, CountError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("modprobe tcp_diag"), "{error}");
    }
}
