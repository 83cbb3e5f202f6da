//! Free loopback ports below the ephemeral range, so that no outgoing connection can take them
//! while a server is down for a restart.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

const FIRST: u32 = 16_000;
const COUNT: u32 = 16_000;

pub(super) fn three() -> Result<[SocketAddr; 3]> {
    Ok([free()?, free()?, free()?])
}

pub(crate) fn free() -> Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that start together begin far apart, since a port is only probed, not reserved.
    let start = std::process::id().wrapping_mul(61);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).context("a port out of range")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no free port from {FIRST} to {}", FIRST + COUNT)
}
