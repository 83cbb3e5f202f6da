//! The question to the kernel and the pieces of its answer, as bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{
    DecodeError, DefaultNla, DoneBuffer, Emitable, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader, Parseable,
};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, SOCK_DIAG_BY_FAMILY};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};

use super::filter;

/// `INET_DIAG_REQ_BYTECODE`.
const REQ_BYTECODE: u16 = 1;

/// Which sockets: one question is about one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, and IPv4 by way of an IPv6 socket.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// States in which a connection still matters to somebody. In `TIME_WAIT` both ends are done; `SYN_RECV` is a
/// client's, not ours to a backend.
fn open_states() -> StateFlags {
    StateFlags::SYN_SENT
        | StateFlags::ESTABLISHED
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT
        | StateFlags::LAST_ACK
        | StateFlags::CLOSING
}

/// Asks for every open connection to one of these ports; `protocol` is an IP protocol number.
pub fn request(family: Family, protocol: u8, ports: &BTreeSet<u16>) -> Vec<u8> {
    let (family, socket_id) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    let (extensions, states) = (ExtensionFlags::empty(), open_states());
    let question = InetRequest { family, protocol, extensions, states, socket_id };
    let mut bytes = emitted(&question);
    if let Some(program) = filter::far_ports(ports) {
        bytes.extend(emitted(&DefaultNla::new(REQ_BYTECODE, program)));
    }
    let mut header = NetlinkHeader::default();
    header.message_type = SOCK_DIAG_BY_FAMILY;
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.length = u32::try_from(header.buffer_len() + bytes.len()).unwrap_or(u32::MAX);
    [emitted(&header), bytes].concat()
}

fn emitted(part: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; part.buffer_len()];
    part.emit(&mut bytes);
    bytes
}

/// Between which sockets a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This machine's.
    pub near: SocketAddr,
    /// The other one.
    pub far: SocketAddr,
}

/// One message of an answer.
#[derive(Debug)]
pub enum Piece {
    /// A connection.
    Connection(Ends),
    /// The list is complete.
    End,
    /// There is no list, or it broke off.
    Refused(io::Error),
}

/// Takes the first message off a datagram: it, and what follows; nothing when there is none left.
pub fn next_piece(datagram: &[u8]) -> Result<Option<(Piece, &[u8])>, DecodeError> {
    if datagram.is_empty() {
        return Ok(None);
    }
    let message = NetlinkBuffer::new_checked(datagram)?;
    let length = usize::try_from(message.length()).unwrap_or(usize::MAX).next_multiple_of(4);
    let piece = match message.message_type() {
        SOCK_DIAG_BY_FAMILY => Piece::Connection(ends(message.payload())?),
        // A kernel that cannot list says so at the end of an empty list, or instead of one.
        NLMSG_DONE | NLMSG_ERROR => ended(DoneBuffer::new_checked(message.payload())?.code()),
        other => return Err(format!("message of type {other}").into()),
    };
    Ok(Some((piece, datagram.get(length..).unwrap_or_default())))
}

/// Only the fixed part is read: the attributes behind it say nothing about the ends.
fn ends(payload: &[u8]) -> Result<Ends, DecodeError> {
    let id: SocketId = InetResponseHeader::parse(payload)?.socket_id;
    let near = SocketAddr::new(id.source_address, id.source_port);
    Ok(Ends { near, far: SocketAddr::new(id.destination_address, id.destination_port) })
}

/// Codes are negative error numbers.
fn ended(code: i32) -> Piece {
    if code < 0 { Piece::Refused(io::Error::from_raw_os_error(code.saturating_neg())) } else { Piece::End }
}
