//! One question to one backend.

use std::io;
use std::net::SocketAddr;

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
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::source::Sources;
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

/// Asks; answers within the target's timeout.
pub async fn ask(target: &Target, sources: &Sources) -> Answer {
    let limit = target.pace.timeout;
    match timeout(limit, converse(target, sources)).await {
        Ok(Ok(())) => Answer::Passed,
        Ok(Err(trouble)) => trouble.into_answer(),
        Err(_) => Answer::Failed(format!("no answer within {}", human(limit))),
    }
}

/// Why there is no good answer.
enum Trouble {
    Io(io::Error),
    Said(String),
}

impl Trouble {
    fn into_answer(self) -> Answer {
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

async fn converse(target: &Target, sources: &Sources) -> Result<(), Trouble> {
    let stream = connect(target.address, sources).await?;
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

async fn connect(address: SocketAddr, sources: &Sources) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Closed with a reset: four questions a second to each of thousands would leave as many sockets in TIME_WAIT.
    socket.set_zero_linger()?;
    if let Some(source) = sources.towards(address) {
        socket.bind(source)?;
    }
    socket.connect(address).await
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
