//! One question to one backend, and what is asked over a connection that stands.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tidegate_core::probe::{Answer, Check, HttpPath, Target};
use tidegate_core::time::human;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::schedule::Turn;
use super::trust::anybody;

/// What this machine says when it cannot even send a question.
const OWN_TROUBLE: [Errno; 9] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::ADDRNOTAVAIL,
    Errno::NETUNREACH,
    Errno::NETDOWN,
    Errno::ACCESS,
    Errno::PERM,
];

/// One question to one backend.
#[derive(Debug)]
pub struct Question {
    pub turn: Turn,
    pub target: Arc<Target>,
    pub started: Instant,
}

impl Question {
    /// When it is too late for an answer.
    pub fn deadline(&self) -> Instant {
        self.started + self.target.pace.timeout
    }
}

/// Asks over a connection that stands; answers before the question's deadline.
pub async fn ask(question: Question, socket: OwnedFd) -> (Question, Answer) {
    let stream = async { TcpStream::from_std(socket.into()) };
    ask_over(question, stream).await
}

/// The same over one that is being opened, and waits for that as the runtime does: dearer and sooner than
/// [`Knocks`](super::knock::Knocks).
pub async fn ask_opening(question: Question, socket: OwnedFd) -> (Question, Answer) {
    let stream = async {
        let stream = TcpStream::from_std(socket.into())?;
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(stream), Err)
    };
    ask_over(question, stream).await
}

async fn ask_over(question: Question, stream: impl Future<Output = io::Result<TcpStream>>) -> (Question, Answer) {
    let conversation = async { converse(&question.target, stream.await?).await };
    let answer = match timeout_at(question.deadline(), conversation).await {
        Ok(Ok(())) => Answer::Passed,
        Ok(Err(trouble)) => trouble.into_answer(),
        Err(_) => Trouble::too_late(question.target.pace.timeout).into_answer(),
    };
    (question, answer)
}

/// Why there is no good answer.
#[derive(Debug)]
pub enum Trouble {
    /// A call to the kernel failed.
    Io(io::Error),
    /// Anything else, for people.
    Said(String),
}

impl Trouble {
    /// Nothing came within this time.
    pub fn too_late(limit: Duration) -> Self {
        Self::Said(format!("no answer within {}", human(limit)))
    }

    /// What it says of the backend: nothing, if the trouble is this machine's own.
    pub fn into_answer(self) -> Answer {
        match self {
            Self::Io(error) => match Errno::from_io_error(&error).filter(|errno| OWN_TROUBLE.contains(errno)) {
                Some(_) => Answer::Unasked(error.to_string()),
                None => Answer::Failed(error.to_string()),
            },
            Self::Said(what) => Answer::Failed(what),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

async fn converse(target: &Target, stream: TcpStream) -> Result<(), Trouble> {
    match &target.check {
        Check::Tcp => Ok(()),
        Check::Http(path) => get(stream, target.address, path).await,
        Check::Https(path) => {
            let config = anybody().ok_or_else(|| Trouble::Said("no TLS version is available".to_owned()))?;
            let name = ServerName::IpAddress(target.address.ip().into());
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            get(stream, target.address, path).await
        }
    }
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    path: &HttpPath,
) -> Result<(), Trouble> {
    let said = |error: hyper::Error| Trouble::Said(format!("no HTTP answer: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    let request = Request::get(path.as_str())
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, concat!("tidegate-probe/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Trouble::Said(error.to_string()))?;
    let response = sender.send_request(request);
    tokio::pin!(response);
    let answer = tokio::select! {
        answer = &mut response => answer,
        // A server that closes at once may have answered all the same.
        ended = connection => match ended {
            Ok(()) => response.await,
            Err(error) => Err(error),
        },
    };
    let status = answer.map_err(said)?.status();
    let fine = status.is_success() || status.is_redirection();
    if fine { Ok(()) } else { Err(Trouble::Said(format!("HTTP status {status}"))) }
}
