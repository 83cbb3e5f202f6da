//! What HAProxy answers, and its configuration file, which others may have edited.

use tidegate_agent::engine::haproxy::config::Config;
use tidegate_agent::engine::haproxy::info::{Info, failed_reloads};
use tidegate_agent::engine::haproxy::live;
use tidegate_testbed::fuzz::{Target, Verdict};

/// As HAProxy 2.6.12 writes them.
const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n3 http 1 10-0-0-1_80 10.0.0.1 2 0 1 1 5 1 0 0 0 0 0 0 - 80 - 0 0 - - 0\n3 http 2 fd00--1_80 fd00::1 0 1 0 1 5 1 0 0 6 0 0 0 - 80 - 0 0 - - 0\n\n";
const INFO: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 25273\nUptime: 0d 0h00m01s\nnode: lb1\ndescription: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nStopping: 1\nJobs: 5\n\n";
const PROC: &str = "#<PID>          <type>          <reloads>       <uptime>        <version>\n1187            master          2 [failed: 1]   0d00h01m28s     2.6.12-1+deb12u4\n# workers\n1201            worker          0               0d00h00m55s     2.6.12-1+deb12u4\n\n";

const FILE: &str = "global\n    description x\n    stats socket /run/s.sock mode 600\ndefaults\n    mode tcp\n    timeout connect 1s\nfrontend http\n    bind 10.0.0.1:80 backlog 4096\n    bind [::]:80 v6only\n    default_backend http\nbackend http\n    balance random\n    server 10-0-0-1_80 10.0.0.1:80 id 7 weight 1 send-proxy-v2\n    server other example.com:80 check\n    server-template t 3 example.com:80\n";

const WORDS: &[&str] = &[
    "# be_id be_name",
    "srv_addr",
    "srv_port",
    "\n\n",
    "1\n",
    "2\n",
    "Pid: ",
    "Stopping: ",
    "description: ",
    "[failed: ",
    "]",
    "server ",
    "backend ",
    "listen ",
    "defaults\n",
    "default-server ",
    "server-template ",
    "bind ",
    "frontend ",
    "id ",
    "weight ",
    "send-proxy",
    "check",
    "10.0.0.1:80",
    "[::1]:80",
    "-",
    "fd00::1",
    "# ",
];

pub fn answers() -> Target {
    let corpus = [STATE, INFO, PROC].map(|text| text.as_bytes().to_vec()).into();
    Target { name: "haproxy-answers", corpus, dictionary: WORDS, check: Box::new(answer) }
}

pub fn files() -> Target {
    let second = FILE.replace("backend http\n", "backend http\n    default-server check\n");
    let corpus = vec![FILE.as_bytes().to_vec(), second.into_bytes()];
    Target { name: "haproxy-files", corpus, dictionary: WORDS, check: Box::new(file) }
}

fn answer(input: &[u8]) -> Verdict {
    // As the socket is read.
    let text = String::from_utf8_lossy(input);
    let info = Info::parse(&text);
    assert!(info.is_none_or(|info| info.pid > 1 && text.contains(&info.pid.to_string())), "{info:?}");
    let failed = failed_reloads(&text);
    let servers = live::parse(&text);
    if let Ok(servers) = &servers {
        assert!(text.ends_with("\n\n"), "an answer without an end was believed");
        let all: Vec<_> = servers.values().flatten().collect();
        assert!(all.len() <= text.lines().count(), "more servers than lines");
        for (name, server) in all {
            assert!(!name.is_empty() && text.contains(name.as_str()), "{name:?} is not in the answer");
            assert!(!(server.is_ready() && server.is_in_maintenance()), "{server:?}");
        }
    }
    if info.is_some() || failed.is_some() { Verdict::Accepted } else { Verdict::of(&servers) }
}

fn file(input: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let config = Config::parse(&text);
    assert_eq!(Config::parse(&format!("# a comment\n\n{text}")), config, "a comment has changed what it says");
    let servers: Vec<_> = config.backends.values().flatten().collect();
    assert!(servers.len() + config.binds.len() <= text.lines().count(), "more servers than lines");
    for (name, _) in &servers {
        assert!(text.contains(name.as_str()), "{name:?} is not in the file");
    }
    // Any text is some configuration; one without servers says nothing here.
    if servers.is_empty() {
        Verdict::Refused(format!("{} backends", text.contains("backend")))
    } else {
        Verdict::Accepted
    }
}
