//! One `nft -f` that changes one element; or the whole table anew, `nft -c` and `nft -f`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Result;
use fs_err as fs;

use super::{Bare, PORT};

const RULE: &str = "add rule inet floor pre";

pub struct Nftables {
    bare: Bare,
}

impl Nftables {
    pub(super) async fn start(bare: Bare) -> Result<Self> {
        let floor = Self { bare };
        floor.reload(true).await?;
        Ok(floor)
    }

    pub(super) async fn change(&self, present: bool) -> Result<()> {
        let (key, last) = (self.bare.backends.len() - 1, self.bare.last()?);
        let count = self.bare.shown(present).len();
        let element = if present {
            format!("add element inet floor be {{ {} }}", element(key, &last))
        } else {
            format!("delete element inet floor be {{ {key} }}")
        };
        self.load(&format!("{element}\nflush chain inet floor pre\n{}\n", rule(count)), false).await
    }

    pub(super) async fn reload(&self, present: bool) -> Result<()> {
        self.load(&render(self.bare.shown(present)), true).await
    }

    async fn load(&self, script: &str, check: bool) -> Result<()> {
        let file = self.bare.file("floor.nft");
        fs::write(&file, script)?;
        if check {
            self.bare.run(&["nft", "-c", "-f", &file]).await?;
        }
        self.bare.run(&["nft", "-f", &file]).await
    }
}

fn element(key: usize, backend: &SocketAddr) -> String {
    format!("{key} : {} . {}", backend.ip(), backend.port())
}

fn rule(count: usize) -> String {
    format!("{RULE} meta nfproto ipv4 tcp dport {PORT} dnat ip to numgen inc mod {count} map @be")
}

fn render(backends: &[SocketAddr]) -> String {
    let elements: Vec<String> = backends.iter().enumerate().map(|(key, backend)| element(key, backend)).collect();
    let mut text = String::from("add table inet floor\ndelete table inet floor\nadd table inet floor\n");
    let _ = writeln!(
        text,
        "add map inet floor be {{ typeof numgen inc mod 65536 : ip daddr . tcp dport; }}
add element inet floor be {{ {} }}
add chain inet floor pre {{ type nat hook prerouting priority dstnat; }}
{}",
        elements.join(", "),
        rule(backends.len())
    );
    text
}
