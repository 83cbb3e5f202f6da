//! Another engine of the user's own: NAT rules that three commands load, which costs little enough for the whole sweep.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate_agent::{CustomSettings, EngineSettings};

use super::interposed::Fault;
use super::nftables::enter_a_namespace;
use super::nginx::checked;
use super::site::Subject;
use super::sweep::whatever_fails_the_answer_is_true;

struct KernelScripts;

const TEMPLATE: &str = r#"table inet own
delete table inet own
table inet own {
    comment "{{ generation }}"
    chain pre {
        type nat hook prerouting priority dstnat;
{% for l in listeners %}
        ip daddr {{ l.bind_address }} tcp dport {{ l.bind_port }} dnat ip to numgen inc mod {{ l.backends|length }} map { {% for b in l.backends %}{{ loop.index0 }} : {{ b.ip }} . {{ b.port }}{% if not loop.last %}, {% endif %}{% endfor %} }
{% endfor %}
    }
}
"#;

/// The kernel has a script whole or not at all: nothing has to be waited for.
const VERIFY: &str = "#!/bin/sh\nexec nft list table inet own | grep -q \"comment \\\"$1\\\"\"\n";

impl Subject for KernelScripts {
    const LANES: u64 = 4;

    fn enter() {
        enter_a_namespace();
    }

    fn settings(dir: &Path) -> EngineSettings {
        let (template, verify, output) = (dir.join("own.j2"), dir.join("verify"), dir.join("conf/own.nft"));
        std::fs::write(&template, TEMPLATE).unwrap();
        std::fs::write(&verify, VERIFY).unwrap();
        std::fs::set_permissions(&verify, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        EngineSettings::Custom(CustomSettings {
            template,
            check: command(&["nft", "-c", "-f", "{file}"]),
            reload: command(&["nft", "-f", output.to_str().unwrap()]),
            verify: command(&[verify.to_str().unwrap(), "{generation}"]),
            stop: Some(command(&["nft", "delete", "table", "inet", "own"])),
            output,
            timeout: Duration::from_secs(10),
            min_reload_interval: Duration::ZERO,
        })
    }

    fn check(file: &Path) -> Result<(), String> {
        checked(Command::new("nft").args(["-c", "-f"]).arg(file))
    }

    fn kill(_: &Path) {
        _ = Command::new("nft").args(["delete", "table", "inet", "own"]).output();
    }

    fn processes(_: &Path) -> Vec<i32> {
        Vec::new()
    }

    fn impersonate(_: &Path) -> Fault {
        Box::new(())
    }

    fn tamper(_: &Path) -> bool {
        false
    }
}

#[test]
fn whatever_fails_the_answer_is_true_of_scripts_as_well() {
    whatever_fails_the_answer_is_true::<KernelScripts>();
}
