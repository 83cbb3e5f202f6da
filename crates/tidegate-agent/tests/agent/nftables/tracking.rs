//! Connections of this machine that began before the kernel followed any: clients from the same ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use tidegate_agent::Masquerade;

use super::forwarding::{PORT, four, pool};
use super::machines::{Asking, Machines};
use crate::rig::apply_ok;

/// To the listener, as a client whose port this is.
fn ask_from(port: u16, family: u8) -> std::io::Result<(u8, String)> {
    let (kind, any): (_, IpAddr) = match family {
        4 => (AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into()),
        _ => (AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into()),
    };
    let socket = socket_with(kind, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(any, port))?;
    connect(&socket, &SocketAddr::new(Machines::vip(family), 443))?;
    Asking::Tcp(TcpStream::from(socket)).ask()
}

#[tokio::test]
async fn an_idle_connection_of_the_engine_before_outlives_clients_from_its_port() {
    let machines = Machines::new(1);
    machines.serve(1, PORT);
    // What a proxy has to the node, and says nothing on.
    let idle = [4, 6].map(|family| {
        let stream = TcpStream::connect(SocketAddr::new(Machines::address(1, family), PORT)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(3))).unwrap();
        let port = stream.local_addr().unwrap().port();
        let mut asking = Asking::Tcp(stream);
        asking.ask().unwrap();
        (family, port, asking)
    });
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    apply_ok(&agent, &four(1, &pool(&[1]), |_| {})).await;
    for (family, port, mut idle) in idle {
        let client = machines.on_client(move || ask_from(port, family));
        assert_eq!(client.unwrap().0, 1, "IPv{family}: the client from its port");
        assert_eq!(idle.ask().unwrap().0, 1, "IPv{family}: what was idle");
    }
    let tables = std::process::Command::new("nft").args(["list", "tables"]).output().unwrap();
    let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
    assert!(tables.contains("tidegate") && !tables.contains("tracking"), "{tables}");
}
