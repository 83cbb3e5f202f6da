//! The traffic tells every kind of failure from the others, against servers that fail so. Needs root.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tidegate_testbed::http::Failure;
use tidegate_testbed::ingress::{Ingress, IngressOptions};
use tidegate_testbed::traffic::{LongLived, Snapshot, Traffic, TrafficOptions};
use tidegate_testbed::{Host, Lab, deadline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);
const IMPATIENT: Duration = Duration::from_millis(300);
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nnode a\n";

/// How a server of a test behaves.
#[derive(Clone, Copy)]
enum Server {
    Absent,
    Resets,
    Cuts,
    Silent,
    Says(&'static str),
    /// Answers the first request of a connection, closes at the second.
    ClosesLate,
}

async fn serve(mut stream: TcpStream, server: Server) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await?;
    match server {
        Server::Absent => {}
        Server::Resets => set_socket_linger(&stream, Some(Duration::ZERO))?,
        Server::Cuts => stream.write_all(&ANSWER.as_bytes()[..ANSWER.len() - 3]).await?,
        Server::Silent => std::future::pending().await,
        Server::Says(text) => stream.write_all(text.as_bytes()).await?,
        Server::ClosesLate => {
            stream.write_all(ANSWER.as_bytes()).await?;
            let _ = stream.read(&mut request).await?;
        }
    }
    Ok(())
}

struct Bench {
    client: Host,
    worker: Host,
    _lab: Lab,
}

impl Bench {
    fn new() -> Self {
        let mut lab = Lab::new().unwrap();
        Self { client: lab.add_host("client").unwrap(), worker: lab.add_host("worker").unwrap(), _lab: lab }
    }

    /// The numbers of traffic against a server, once enough has been sent.
    async fn against(&self, server: Server, options: TrafficOptions) -> Snapshot {
        if !matches!(server, Server::Absent) {
            let listener = self.worker.listen(options.target).await.unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, server));
                }
            });
        }
        let traffic = Traffic::start(&self.client, options).unwrap();
        deadline::until_true("60 requests", SOON, || traffic.stats().sent() >= 60).await.unwrap();
        traffic.stop().await.unwrap()
    }

    /// With a generous timeout: on a busy machine only what is really silent may time out.
    fn new_only(&self, port: u16) -> TrafficOptions {
        TrafficOptions { keepalive_connections: 0, timeout: SOON, ..TrafficOptions::new(self.worker.address(port)) }
    }

    fn keepalive_only(&self, port: u16) -> TrafficOptions {
        TrafficOptions { new_per_second: 0, ..TrafficOptions::new(self.worker.address(port)) }
    }
}

#[tokio::test]
async fn each_failure_is_told_from_the_others() {
    let bench = Bench::new();
    let wrong_node = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n";
    let unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\n\r\nnode a\n";
    for (port, server, expected) in [
        (1, Server::Absent, Failure::Refused),
        (2, Server::Resets, Failure::Reset),
        (3, Server::Cuts, Failure::Cut),
        (4, Server::Silent, Failure::Timeout),
        (5, Server::Says(wrong_node), Failure::Wrong),
        (6, Server::Says(unavailable), Failure::Wrong),
        (7, Server::Says(""), Failure::Cut),
    ] {
        let timeout = if expected == Failure::Timeout { IMPATIENT } else { SOON };
        let options = TrafficOptions { timeout, ..bench.new_only(port) };
        let seen = bench.against(server, options).await;
        assert_eq!(seen.failed_as(expected), seen.sent(), "port {port}, {expected:?}: {seen}");
        assert_eq!((seen.ok(), seen.skipped), (0, 0));
    }
    let fine = bench.against(Server::Says(ANSWER), bench.new_only(8)).await;
    assert_eq!((fine.ok(), fine.failed()), (fine.sent(), 0), "{fine}");
    assert_eq!(fine.by_node["a"], fine.sent());

    bench.worker.unplug().unwrap();
    let dark = TrafficOptions { timeout: IMPATIENT, ..bench.new_only(9) };
    let dark = bench.against(Server::Absent, dark).await;
    assert_eq!(dark.failed_as(Failure::Timeout) + dark.failed_as(Failure::Unreachable), dark.sent(), "{dark}");
}

#[tokio::test]
async fn a_connection_that_closes_under_a_request_is_retried_and_counted() {
    let bench = Bench::new();
    let retried = bench.against(Server::ClosesLate, bench.keepalive_only(1)).await;
    assert_eq!((retried.ok(), retried.failed()), (retried.sent(), 0), "{retried}");
    assert!(retried.retried_closed > 10, "{retried}");

    let strict = TrafficOptions { retry_reused: false, ..bench.keepalive_only(2) };
    let strict = bench.against(Server::ClosesLate, strict).await;
    assert!(strict.failed_as(Failure::Cut) > 10 && strict.retried_closed == 0, "{strict}");
}

#[tokio::test]
async fn a_real_ingress_serves_ends_keepalive_by_itself_and_stops_without_a_failure() {
    let bench = Bench::new();
    let options = IngressOptions { keepalive_requests: 10, ..IngressOptions::default() };
    let ingress = Ingress::start(&bench.worker, "worker", options).await.unwrap();
    let target = bench.worker.address(80);
    let options =
        TrafficOptions { new_per_second: 300, keepalive_per_second: 300, timeout: SOON, ..TrafficOptions::new(target) };
    let traffic = Traffic::start(&bench.client, options).unwrap();
    let enough = |seen: &Snapshot| seen.ok() >= 1000 && seen.idle_closed >= 20;
    deadline::until_true("1000 answers", 3 * SOON, || enough(&traffic.stats())).await.unwrap();
    let steady = traffic.stats();
    assert_eq!((steady.failed(), steady.skipped), (0, 0), "{steady}");
    assert!(steady.rate() > 10.0 && steady.p50() > Duration::ZERO && steady.p99() < SOON, "{steady}");
    assert_eq!(steady.by_node["worker"], steady.ok());

    ingress.kill9().unwrap();
    let refused = |step: &Snapshot| step.failed_as(Failure::Refused) > 50;
    deadline::until_true("refusals", SOON, || refused(&traffic.stats().since(&steady))).await.unwrap();
    ingress.restart().await.unwrap();
    let back = traffic.stats();
    deadline::until_true("answers", SOON, || traffic.stats().since(&back).ok() > 100).await.unwrap();
    traffic.stop().await.unwrap();
    ingress.stop_gracefully().await.unwrap();
    assert!(!ingress.process().is_running());
}

#[tokio::test]
async fn a_long_lived_connection_notices_the_end() {
    let bench = Bench::new();
    let ingress = Ingress::start(&bench.worker, "worker", IngressOptions::default()).await.unwrap();
    let mut long = LongLived::open(&bench.client, bench.worker.address(80)).await.unwrap();
    long.check(SOON).await.unwrap();
    bench.worker.unplug().unwrap();
    assert_eq!(long.check(Duration::from_secs(2)).await, Err(Failure::Timeout));
    bench.worker.plug().unwrap();
    long.check(SOON).await.unwrap();
    ingress.kill9().unwrap();
    assert!(matches!(long.check(SOON).await, Err(Failure::Cut | Failure::Reset)));
}
