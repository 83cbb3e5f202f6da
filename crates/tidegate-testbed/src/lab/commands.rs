//! The `ip` and `sysctl` commands that build a lab.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Host;

const UP_WITHIN: Duration = Duration::from_secs(10);

/// Makes thousands of short connections per second possible between the same two addresses.
const SYSCTLS: &[&str] = &[
    "net.ipv4.ip_local_port_range=1024 65535",
    "net.ipv4.tcp_tw_reuse=1",
    "net.core.somaxconn=4096",
    // A load balancer forwards (nftables) and may bind a virtual address that is elsewhere now.
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv4.ip_nonlocal_bind=1",
];

pub(super) fn add_namespace(name: &str) -> Result<()> {
    let output = Command::new("ip").args(["netns", "add", name]).output();
    check(&format!("ip netns add {name}"), &output.context("starting ip")?)?;
    in_namespace(name, "link set lo up")
}

/// A cable from the host's `eth0` to a port of the switch, made inside the switch's namespace.
pub(super) fn plug_in(host: &Host) -> Result<()> {
    let (port, namespace) = (host.port(), host.namespace());
    in_namespace(
        host.switch(),
        &format!(
            "link add {port} type veth peer name eth0 netns {namespace}\n\
             link set {port} master br0\n\
             link set {port} up"
        ),
    )?;
    // nodad: an IPv6 address is otherwise unusable for its first second.
    in_namespace(
        namespace,
        &format!("addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\nlink set eth0 up", host.ipv4(), host.ipv6()),
    )?;
    let output = host.command("sysctl").arg("-qw").args(SYSCTLS).output();
    check("sysctl", &output.context("starting sysctl")?)?;
    wait_up(namespace, "eth0")?;
    wait_up(host.switch(), &port)
}

/// Waits until the kernel has noticed that the link is up. Until then it drops every packet, and on
/// a busy machine that takes long enough to make the first connections time out.
fn wait_up(namespace: &str, link: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let output = Command::new("ip").args(["-n", namespace, "-o", "link", "show", link]).output()?;
        if String::from_utf8_lossy(&output.stdout).contains("state UP") {
            return Ok(());
        }
        ensure!(started.elapsed() < UP_WITHIN, "{link} of {namespace} is not up after {UP_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs lines of `ip` commands inside a namespace.
pub(super) fn in_namespace(namespace: &str, lines: &str) -> Result<()> {
    let mut ip = Command::new("ip")
        .args(["-n", namespace, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting ip")?;
    let mut input = ip.stdin.take().context("ip without an input")?;
    writeln!(input, "{lines}").context("writing to ip")?;
    drop(input);
    check(&format!("ip -n {namespace} ({lines})"), &ip.wait_with_output()?)
}

fn check(what: &str, output: &Output) -> Result<()> {
    ensure!(output.status.success(), "{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
