//! The three roles as processes, with a real nginx and without an API server: what is recorded is served.
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/site.rs"]
mod site;

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::Signal;
use site::{Process, Site, get, wait_for};

fn tidegate(args: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_tidegate")).args(args).env("NO_COLOR", "1").output().unwrap()
}

#[test]
fn run_without_an_api_server_answers_and_ends_cleanly() {
    let site = Site::new();
    let config = site.run_config();
    let mut process = Process::start(site.folder.path(), &["run", "-c", config.to_str().unwrap()], &[]);
    let api = process.address_after("the API listens");
    let healthy = wait_for("/healthz", || get(api, "/healthz"));
    assert_eq!((healthy.0, healthy.1.contains("ok")), (200, true));
    // Alive, but not ready before the first complete LIST.
    let ready = get(api, "/readyz").unwrap();
    assert!(ready.0 == 503 && ready.1.starts_with("not ready: "), "{ready:?}");
    let metrics = get(api, "/metrics").unwrap().1;
    for name in ["tidegate_build_info{", "tidegate_frozen", "tidegate_leader"] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1, "one exposition for both roles");
    process.signal(Signal::HUP);
    wait_for("the message about SIGHUP", || process.log().contains("SIGHUP is ignored").then_some(()));
    assert_eq!(get(api, "/healthz").unwrap().0, 200);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    assert!(process.log().contains("traffic goes on"), "{}", process.log());
}

#[test]
fn run_serves_what_is_recorded_and_traffic_outlives_it() {
    let site = Site::new();
    site.record_member();
    let config = site.run_config();
    let config = config.to_str().unwrap();
    let mut process = Process::start(site.folder.path(), &["run", "-c", config], &[]);
    let api = process.address_after("the API listens");
    site.wait_served();

    // In front of people: in sync, but frozen, because there is no API server.
    let url = format!("http://{api}");
    let status = wait_for("the load balancer to be in sync", || {
        let output = tidegate(&["status", "--api", &url, "-o", "json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        assert_eq!(output.status.code(), Some(3), "frozen is degraded");
        (status["loadBalancers"][0]["inSync"] == true).then_some(status)
    });
    assert_eq!(status["nodes"][0]["name"], "worker-1");
    assert!(status["frozen"]["reason"].is_string());
    let metrics = wait_for("what the probes found", || {
        let text = get(api, "/metrics")?.1;
        text.contains("tidegate_probe_up{").then_some(text)
    });
    let agents = r#"tidegate_apply_total{engine="nginx",result="applied"}"#;
    assert!(metrics.contains(agents), "the agent's metrics are on the same page:\n{metrics}");
    check_metrics_document(&metrics);
    let explained = tidegate(&["explain", "worker-1", "--api", &url]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.status.success() && text.starts_with("node worker-1: active\n"), "{text}");

    process.signal(Signal::INT);
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    assert!(site.is_served(), "nginx outlives tidegate");

    // With the controller down: history from the store, and the configuration that is live.
    let history = tidegate(&["history", "--api", "http://127.0.0.1:1", "-c", config]);
    let text = String::from_utf8(history.stdout).unwrap();
    assert!(history.status.success() && text.contains("out -> active") && text.contains("election"), "{text}");
    let rendered = tidegate(&["render", "-c", config]);
    assert_eq!(rendered.stdout, std::fs::read(site.path("nginx.conf")).unwrap(), "what would be live is what is live");
}

/// Every metric of a serving process is in the documentation, as it is.
fn check_metrics_document(exposition: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = tidegate::docs::metrics_markdown(exposition);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/metrics.md is stale; run: UPDATE_DOCS=1 cargo test -p tidegate --test roles");
}

#[test]
fn controller_and_agent_are_the_same_over_the_network() {
    let site = Site::new();
    site.record_member();
    site.write("webhook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let agent_config = site.write(
        "agent.yaml",
        &format!("agent: {{ listen: \"127.0.0.1:0\", secretFiles: [webhook.secret], {} }}\n", Site::ENGINE),
    );
    let mut agent = Process::start(site.folder.path(), &["agent", "-c", agent_config.to_str().unwrap()], &[]);
    let webhook = agent.address_after("webhook listens");
    assert_eq!(get(webhook, "/healthz").unwrap().0, 200, "the agent serves before any controller speaks");
    let lb = format!("loadBalancers: [ {{ name: lb-1, url: \"http://{webhook}\", secretFile: webhook.secret }} ]\n");
    let config = site.write("controller.yaml", &(site.controller_sections() + &lb));
    let mut controller = Process::start(site.folder.path(), &["controller", "-c", config.to_str().unwrap()], &[]);
    controller.address_after("the API listens");
    site.wait_served();
    for process in [&mut controller, &mut agent] {
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
        assert!(!process.log().contains("MfKQ9r8"), "secrets are not logged");
    }
    assert!(site.is_served());
    let rendered = tidegate(&["render", "-c", agent_config.to_str().unwrap()]);
    assert_eq!(rendered.stdout, std::fs::read(site.path("nginx.conf")).unwrap());
}

#[test]
fn what_the_store_does_not_like_is_two_lines() {
    let site = Site::new();
    let config = site.run_config();
    site.write("tidegate.db", "this is no database, and long enough to be looked at as one");
    let output = tidegate(&["run", "-c", config.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: store file ") && text.contains("\ncure:  "), "{text}");
}

/// Debug builds kill themselves at the named point, so that other tests can look at what is left.
#[test]
#[cfg(debug_assertions)]
fn a_process_kills_itself_where_it_is_told_and_recovers() {
    for point in ["commit:inserted", "swap:renamed", "reload:sent"] {
        let site = Site::new();
        site.record_member();
        let config = site.run_config();
        let args = ["run", "-c", config.to_str().unwrap()];
        let mut process = Process::start(site.folder.path(), &args, &[("TIDEGATE_CRASH_AT", point)]);
        assert_eq!(process.wait().signal(), Some(9), "{point}:\n{}", process.log());
        let _again = Process::start(site.folder.path(), &args, &[]);
        site.wait_served();
    }
}
