//! Connections that are being opened, looked at together.
//!
//! A runtime that waits for each socket of its own costs half as much again as the connection: two calls to register it, a
//! wake-up, a timer. Here one `poll(2)` looks at all that are due. A young one is looked at every millisecond, one
//! that nobody answers ever more seldom: a dead backend must not keep an idle machine awake.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use tokio::time::Instant;

use super::ask::{Question, Trouble};
use super::source::Sources;

/// From the start to the first look, and at least from one look to the next: the runtime's timers are no finer.
const LOOK: Duration = Duration::from_millis(1);
/// The next look comes after this part of the time that has passed since the start.
const PART_OF_AGE: u32 = 8;

/// Begins with a connection; whether it stands is for [`Knocks::look`] to find out.
#[derive(Debug)]
struct Knock {
    question: Question,
    socket: OwnedFd,
    look_at: Instant,
}

/// All connections that are being opened.
#[derive(Debug, Default)]
pub struct Knocks(Vec<Knock>);

impl Knocks {
    /// Asks for a connection, without waiting for it.
    pub fn start(&mut self, question: Question, sources: &Sources) -> Result<(), (Question, Trouble)> {
        match open(question.target.address, sources) {
            Ok(socket) => {
                let look_at = question.started + LOOK;
                self.0.push(Knock { question, socket, look_at });
                Ok(())
            }
            Err(error) => Err((question, error.into())),
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// When to look.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().map(|knock| knock.look_at).min()
    }

    /// Looks at those that are due, and gives back whose fate is known: a connection that stands, or why there is none.
    pub fn look(&mut self, now: Instant) -> Vec<(Question, Result<OwnedFd, Trouble>)> {
        let due: Vec<Knock> = self.0.extract_if(.., |knock| knock.look_at <= now).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let mut known = Vec::with_capacity(due.len());
        let seen = seen(&due);
        for (knock, seen) in due.into_iter().zip(seen) {
            match knock.fate(seen, now) {
                Some(fate) => known.push((knock.question, fate.map(|()| knock.socket))),
                None => self.0.push(knock.later(now)),
            }
        }
        known
    }
}

impl Knock {
    fn fate(&self, seen: Result<PollFlags, Errno>, now: Instant) -> Option<Result<(), Trouble>> {
        match seen {
            Ok(PollFlags::OUT) => Some(Ok(())),
            Ok(seen) if seen.is_empty() => {
                (self.question.deadline() <= now).then(|| Err(Trouble::too_late(self.question.target.pace.timeout)))
            }
            Ok(_) => Some(sockopt::socket_error(&self.socket).flatten().map_err(|errno| io::Error::from(errno).into())),
            Err(errno) => Some(Err(io::Error::from(errno).into())),
        }
    }

    fn later(self, now: Instant) -> Self {
        let age = now.saturating_duration_since(self.question.started);
        let look_at = (now + LOOK.max(age / PART_OF_AGE)).min(self.question.deadline());
        Self { look_at, ..self }
    }
}

/// What the kernel says of each, without waiting.
fn seen(knocks: &[Knock]) -> Vec<Result<PollFlags, Errno>> {
    let mut polled: Vec<PollFd<'_>> = knocks.iter().map(|knock| PollFd::new(&knock.socket, PollFlags::OUT)).collect();
    let answer = poll(&mut polled, Some(&Timespec::default()));
    polled.iter().map(|of| answer.map(|_| of.revents())).collect()
}

/// Begins to open a connection, without waiting for it.
pub fn open(address: SocketAddr, sources: &Sources) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    // Closed with a reset: four questions a second to each of thousands would leave as many sockets in TIME_WAIT.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    if let Some(source) = sources.towards(address) {
        bind(&socket, &source)?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno.into()),
    }
}
