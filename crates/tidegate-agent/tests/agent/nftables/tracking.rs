//! Connections of this machine that began before the kernel followed any: clients from the same ports.

use std::net::{SocketAddr, TcpStream};

use tidegate_agent::Masquerade;

use super::forwarding::{PORT, four, pool};
use super::machines::{Asking, Machines};
use crate::rig::apply_ok;
use crate::traffic::connect_from;

/// To the listener, as a client whose port this is.
fn ask_from(port: u16, family: u8) -> std::io::Result<(u8, String)> {
    let client = SocketAddr::new(Machines::address(0, family), port);
    Asking::Tcp(connect_from(client, SocketAddr::new(Machines::vip(family), 443))?).ask()
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
