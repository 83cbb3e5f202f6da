//! The binary in a root with nothing but itself, as in the image.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use tidegate_testbed::{Host, Lab};
use tokio::net::{TcpListener, UdpSocket};

use super::dns;

/// In the image it comes from Debian's ca-certificates.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const BY_FILE: &str = "by-file.test";
const BY_DNS: &str = "by-dns.test";
/// Longer than the client waits for an answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Runs it with the kubelet's two files about names, and sees where it connects to. Needs root.
pub(super) async fn check(binary: &Path) -> Result<()> {
    let scratch = tidegate_testbed::run::current()?.scratch("empty-root")?;
    let image = scratch.path();
    fill(image, binary)?;
    let mut lab = Lab::new()?;
    let host = lab.add_host("image")?;
    let version = in_image(&host, image, &["--version"]).output()?;
    ensure!(version.status.success(), "`tidegate --version` failed: {}", String::from_utf8_lossy(&version.stderr));
    let _server = host.start(|| async {
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await {
            Ok(socket) => dns::serve(socket).await,
            Err(error) => crate::phases::say(&format!("the name server does not start: {error}")),
        }
    })?;
    for name in [BY_FILE, BY_DNS] {
        let listener = host.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        connects(&host, image, name, listener).await?;
    }
    Ok(())
}

fn fill(image: &Path, binary: &Path) -> Result<()> {
    fs::create_dir_all(image.join("etc/ssl/certs"))?;
    fs::copy(CERTIFICATES, image.join(CERTIFICATES.trim_start_matches('/')))?;
    fs::write(image.join("etc/hosts"), format!("127.0.0.1 {BY_FILE}\n"))?;
    fs::write(image.join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
    fs::copy(binary, image.join("tidegate")).with_context(|| "is it built?")?;
    Ok(())
}

/// `tidegate status` uses the HTTP client of the controller, and so its way of resolving names.
async fn connects(host: &Host, image: &Path, name: &str, listener: TcpListener) -> Result<()> {
    let url = format!("http://{name}:{}", listener.local_addr()?.port());
    let mut command = tokio::process::Command::from(in_image(host, image, &["status", "--api", &url]));
    let running = command.kill_on_drop(true).output();
    tokio::select! {
        accepted = listener.accept() => accepted.map(drop).with_context(|| format!("listening for {name}")),
        output = running => {
            let said = output?.stderr;
            bail!("{name} was not resolved in an empty root: {}", String::from_utf8_lossy(&said))
        }
        () = tokio::time::sleep(WITHIN) => bail!("{name} was not resolved in an empty root within {WITHIN:?}"),
    }
}

fn in_image(host: &Host, image: &Path, args: &[&str]) -> std::process::Command {
    let mut command = host.command("chroot");
    // No HOME, no proxy, no RUST_LOG of the developer.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg(image).arg("/tidegate").args(args);
    command
}
