//! Hosts are machines on one network, and the relay is their way out. Needs root.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tidegate_testbed::relay::Relay;
use tidegate_testbed::{Host, Lab, deadline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(5);

fn namespace_exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

/// Echoes on `listener` until the runtime ends.
fn echo(listener: TcpListener) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
}

async fn ping(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"ping").await?;
    let mut answer = [0; 4];
    tokio::time::timeout(Duration::from_millis(500), stream.read_exact(&mut answer)).await??;
    Ok(())
}

async fn can_reach(from: &Host, target: std::net::SocketAddr) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(500), from.connect(target)).await, Ok(Ok(_)))
}

#[tokio::test]
async fn hosts_reach_each_other_and_are_gone_after_drop() {
    let mut lab = Lab::new().unwrap();
    let (client, worker) = (lab.add_host("client").unwrap(), lab.add_host("worker-1").unwrap());
    for address in [worker.address(7), (worker.ipv6(), 7).into()] {
        let listener = worker.listen(address).await.unwrap();
        echo(listener);
        ping(&mut client.connect(address).await.unwrap()).await.unwrap();
    }
    // The same port is free in the root namespace and on the other host.
    assert!(client.connect(client.address(7)).await.is_err());

    worker.unplug().unwrap();
    assert!(!can_reach(&client, worker.address(7)).await);
    worker.plug().unwrap();
    assert!(can_reach(&client, worker.address(7)).await);

    let inside = worker.command("ip").args(["-o", "addr"]).output().unwrap();
    assert!(String::from_utf8_lossy(&inside.stdout).contains(&worker.ipv4().to_string()));

    let folder = tempfile::tempdir().unwrap();
    let sleeper = worker.spawn("sleeper", &["sleep", "1000"], folder.path().join("log")).unwrap();
    lab.remove_host("worker-1").unwrap();
    assert!(!namespace_exists(worker.namespace()));
    deadline::until_true("the sleeper's end", SOON, || !sleeper.is_running()).await.unwrap();

    let name = client.namespace().to_owned();
    assert!(namespace_exists(&name));
    drop(lab);
    assert!(!namespace_exists(&name));
}

#[tokio::test]
async fn a_dropped_task_is_cancelled() {
    let mut lab = Lab::new().unwrap();
    let host = lab.add_host("host").unwrap();
    let address = host.address(7);
    let (bound, listening) = tokio::sync::oneshot::channel();
    let task = host.start(move || async move {
        let _listener = TcpListener::bind(address).await.unwrap();
        bound.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let task = task.unwrap();
    listening.await.unwrap();
    assert!(host.listen(address).await.is_err());
    drop(task);
    deadline::until("the port free again", SOON, || async { host.listen(address).await.ok() }).await.unwrap();
}

#[tokio::test]
async fn the_relay_reaches_the_root_namespace_and_can_fail_in_three_ways() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    echo(server);
    let mut lab = Lab::new().unwrap();
    let lb = lab.add_host("lb").unwrap();
    assert!(lb.connect(address).await.is_err(), "the root namespace's loopback is not ours");

    let relay = Relay::start(&lb, address).await.unwrap();
    let mut first = lb.connect(address).await.unwrap();
    ping(&mut first).await.unwrap();

    relay.cut();
    assert!(ping(&mut first).await.is_err(), "a cut connection answered");
    let mut second = lb.connect(address).await.unwrap();
    ping(&mut second).await.unwrap();

    relay.hold();
    let error = ping(&mut second).await.unwrap_err();
    assert!(error.is::<tokio::time::error::Elapsed>(), "held, but: {error:?}");
    relay.forward();
    let mut late = [0; 4];
    tokio::time::timeout(SOON, second.read_exact(&mut late)).await.unwrap().unwrap();
    ping(&mut second).await.unwrap();

    relay.refuse();
    assert!(ping(&mut second).await.is_err());
    if let Ok(mut third) = lb.connect(address).await {
        assert!(ping(&mut third).await.is_err(), "a refused connection answered");
    }
    relay.forward();
    ping(&mut lb.connect(address).await.unwrap()).await.unwrap();
}
