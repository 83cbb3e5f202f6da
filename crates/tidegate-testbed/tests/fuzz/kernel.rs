//! The kernel's list of connections (sock_diag): bytes whose lengths say where the next message begins.

use std::collections::BTreeSet;

use tidegate_agent::connections::message::{Family, Piece, next_piece, request};
use tidegate_testbed::fuzz::{Target, Verdict};

const DONE: u16 = 3;
const ERROR: u16 = 2;
const SOCK_DIAG: u16 = 20;

pub fn target() -> Target {
    let connection = |family: u8, port: u16| message(SOCK_DIAG, &diag(family, port));
    let done = message(DONE, &0_i32.to_ne_bytes());
    let refused = message(ERROR, &(-2_i32).to_ne_bytes());
    let corpus = vec![
        [connection(2, 80), connection(2, 443), done.clone()].concat(),
        [connection(10, 8080), done.clone()].concat(),
        [connection(2, 1), refused.clone()].concat(),
        done,
        refused,
        // What we say ourselves is no answer, but begins like one.
        request(Family::V6, 6, &BTreeSet::from([80, 443])),
    ];
    Target {
        name: "kernel",
        corpus,
        dictionary: &["\u{14}\0", "\u{3}\0", "\u{2}\0", "\u{48}\0\0\0", "\0\0\0\0"],
        check: Box::new(check),
    }
}

/// `struct nlmsghdr`, its payload, and padding to four bytes.
fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], payload].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `struct inet_diag_msg` of a connection to this port of 127.0.0.1 or ::1.
fn diag(family: u8, port: u16) -> Vec<u8> {
    let mut bytes = vec![family, 1, 0, 0];
    bytes.extend([40000_u16.to_be_bytes(), port.to_be_bytes()].concat());
    for _ in 0..2 {
        let mut address = [0; 16];
        if family == 2 {
            address[..4].copy_from_slice(&[127, 0, 0, 1]);
        } else {
            address[15] = 1;
        }
        bytes.extend(address);
    }
    bytes.extend([0; 32]);
    bytes
}

fn check(input: &[u8]) -> Verdict {
    let mut rest = input;
    loop {
        match next_piece(rest) {
            Ok(None | Some((Piece::End | Piece::Refused(_), _))) => return Verdict::Accepted,
            Ok(Some((Piece::Connection(_), more))) => {
                assert!(more.len() + 16 <= rest.len(), "a message without a length: this would never end");
                rest = more;
            }
            Err(error) => return Verdict::Refused(error.to_string()),
        }
    }
}
