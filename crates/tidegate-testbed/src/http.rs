//! A small HTTP/1.1 client that tells *how* a request failed, which is what the traffic counts.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How a request failed, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// No route, or no such neighbour.
    Unreachable,
    /// The connection was reset.
    Reset,
    /// No complete answer in time.
    Timeout,
    /// The connection was closed before the answer was complete.
    Cut,
    /// An answer, but not the right one.
    Wrong,
    /// Anything else, such as no free port or file descriptor on our side.
    Local,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::UnexpectedEof => Self::Cut,
            ErrorKind::InvalidData => Self::Wrong,
            _ => Self::Local,
        }
    }
}

/// A failed exchange; `answered` is true once a byte of the answer has been seen.
#[derive(Debug, Clone, Copy)]
pub struct Broken {
    pub failure: Failure,
    pub answered: bool,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub body: String,
    /// The server will close the connection after this answer.
    pub closes: bool,
}

/// One connection, used for one request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(target: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(target).await.map_err(|error| Failure::from(&error))?;
        Ok(Self::from_stream(stream))
    }

    pub fn from_stream(stream: TcpStream) -> Self {
        // Without it, a small request waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(1024) }
    }

    /// Whether the server has closed (or reset) the connection while it was idle.
    pub fn is_closed(&self) -> bool {
        let mut byte = [0_u8; 1];
        match self.stream.try_read(&mut byte) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Sends one request and reads its whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response, Broken> {
        self.buffer.clear();
        match self.try_exchange(request).await {
            Ok(response) => Ok(response),
            Err(error) => Err(Broken { failure: Failure::from(&error), answered: !self.buffer.is_empty() }),
        }
    }

    async fn try_exchange(&mut self, request: &[u8]) -> Result<Response, Error> {
        self.stream.write_all(request).await?;
        let end = self.read_head().await?;
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).into_owned();
        let head = Head::parse(&head).ok_or(ErrorKind::InvalidData)?;
        match head.length {
            Some(length) => {
                while self.buffer.len() < end + length {
                    self.read_more().await?;
                }
            }
            // Without a length, the body ends with the connection.
            None if head.closes => while self.read_some().await? > 0 {},
            None => return Err(ErrorKind::InvalidData.into()),
        }
        let body = self.buffer.get(end..).unwrap_or_default();
        Ok(Response { status: head.status, body: String::from_utf8_lossy(body).into_owned(), closes: head.closes })
    }

    /// The offset behind the empty line that ends the head.
    async fn read_head(&mut self) -> Result<usize, Error> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(at + 4);
            }
            self.read_more().await?;
        }
    }

    /// As `read_some`, but the end of the stream is an error.
    pub async fn read_more(&mut self) -> Result<usize, Error> {
        match self.read_some().await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }

    async fn read_some(&mut self) -> Result<usize, Error> {
        self.stream.read_buf(&mut self.buffer).await
    }

    /// Sends without waiting for an answer, for a stream that [`Connection::read_more`] follows.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), Error> {
        self.stream.write_all(request).await
    }

    /// Forgets what has been read, and what has arrived unread; for long streams.
    pub fn drain(&mut self) -> Result<(), Error> {
        loop {
            self.buffer.clear();
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

struct Head {
    status: u16,
    length: Option<usize>,
    closes: bool,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let mut head = Self { status, length: None, closes: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.trim().parse().ok()?);
            } else if name.eq_ignore_ascii_case("connection") {
                head.closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Some(head)
    }
}

/// A request for `path`; `keep` asks the server to leave the connection open.
pub fn get(host: SocketAddr, path: &str, keep: bool) -> Vec<u8> {
    let connection = if keep { "keep-alive" } else { "close" };
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n").into_bytes()
}

/// A JSON POST on a connection of its own.
pub async fn post_json(host: SocketAddr, path: &str, json: &str) -> Result<Response, Failure> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
    let mut connection = Connection::open(host).await?;
    connection.exchange(request.as_bytes()).await.map_err(|broken| broken.failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_length_and_close() {
        let head = Head::parse("HTTP/1.1 200 OK\r\ncontent-length: 12\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!((head.status, head.length, head.closes), (200, Some(12), true));
        assert!(Head::parse("SSH-2.0-OpenSSH\r\n\r\n").is_none());
    }
}
