//! The binary as a user meets it: exit codes, output formats, errors of two lines.
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;

use assert_cmd::Command;
use serde_json::Value;
use support::{TOKEN, healthy, replicated, serve, troubled};

fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_remove("TIDEGATE_API").env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn end(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// An address where nothing listens: no port of one's own, of which a program that another test is just starting would hold
/// a copy.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn status_tells_well_from_degraded() {
    for (status, code, word) in [(healthy(), 0, "in sync"), (troubled(), 3, "degraded")] {
        let api = format!("http://{}", serve(status.clone()));
        let ended = end(tidegate().args(["status", "--api", &api]));
        assert_eq!((ended.code, ended.err.as_str()), (code, ""));
        assert!(ended.out.starts_with(&format!("cluster prod: {word}\n")), "{}", ended.out);
        assert!(!ended.out.contains('\x1b'), "no colour without a terminal");
        let ended = end(tidegate().args(["status", "-o", "json"]).env("TIDEGATE_API", &api));
        assert_eq!(ended.code, code);
        assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), status, "JSON is the API's answer");
    }
}

#[test]
fn waiting_ends_when_all_is_in_sync_or_the_time_is_up() {
    let api = format!("http://{}", serve(healthy()));
    assert_eq!(end(tidegate().args(["status", "--wait", "--api", &api])).code, 0);
    let api = format!("http://{}", serve(troubled()));
    assert_eq!(end(tidegate().args(["status", "--wait", "--timeout", "300ms", "--api", &api])).code, 3);
    let ended = end(tidegate().args(["status", "--wait", "--timeout", "300ms", "--api", NOBODY]));
    assert_eq!(ended.code, 1, "{}", ended.err);
}

#[test]
fn a_controller_that_is_down_is_two_lines() {
    for command in ["status", "history", "explain"] {
        let mut args = vec![command, "--api", NOBODY];
        if command == "explain" {
            args.push("worker-1");
        }
        let ended = end(tidegate().args(&args));
        assert_eq!((ended.code, ended.out.as_str()), (1, ""));
        let lines: Vec<&str> = ended.err.lines().collect();
        assert_eq!(lines.len(), 2, "{}", ended.err);
        assert!(lines[0].starts_with("error: the controller's API at http://127.0.0.1:"), "{}", ended.err);
        assert!(lines[1].starts_with("cure:  start `tidegate run`"), "{}", ended.err);
    }
}

#[test]
fn explain_and_history_come_from_the_api() {
    let api = format!("http://{}", serve(healthy()));
    let ended = end(tidegate().args(["explain", "worker-2", "--api", &api]));
    assert!(ended.code == 0 && ended.out.starts_with("node worker-2: draining\n"), "{}", ended.out);
    let ended = end(tidegate().args(["explain", "worker-7", "--api", &api]));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("no node worker-7") && ended.err.contains("tidegate status"), "{}", ended.err);
    let ended = end(tidegate().args(["history", "-o", "json", "--api", &api]));
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), support::history());
}

/// A file with the token that the fake API wants.
fn token(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("api.token");
    fs::write(&path, format!("{TOKEN}\n")).unwrap();
    path.display().to_string()
}

#[test]
fn orders_are_given_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = token(&folder);
    let api = format!("http://{}", serve(healthy()));
    let order = |args: &[&str]| end(tidegate().env_remove("TIDEGATE_TOKEN_FILE").args(args).args(["--api", &api]));
    let ended = order(&["drain", "worker-3", "--token-file", &token, "--why", "new disk"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(ended.out.starts_with("worker-3: drain is recorded in revision 129 (term 4)\n"), "{}", ended.out);
    let ended = order(&["undrain", "worker-3", "--token-file", &token, "-o", "json"]);
    let reply: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &reply["revision"], &reply["node"]), (0, &129.into(), &"worker-3".into()));
    let ended = order(&["drain", "worker-9", "--token-file", &token, "--by", "anna"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "worker-9: worker-9 is drained by anna since noon\n"));
    // From the configuration of the controller.
    let config = folder.path().join("c.yaml");
    fs::write(&config, "api: { tokenFile: api.token }\n").unwrap();
    assert_eq!(order(&["drain", "worker-3", "-c", config.to_str().unwrap()]).code, 0);
}

#[test]
fn orders_that_are_not_taken_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let token = token(&folder);
    let wrong = folder.path().join("wrong.token").display().to_string();
    fs::write(&wrong, "fedcba9876543210\n").unwrap();
    let short = folder.path().join("short.token").display().to_string();
    fs::write(&short, "hunter2\n").unwrap();
    let api = format!("http://{}", serve(healthy()));
    let order = |node: &str, token: &[&str]| {
        end(tidegate().env_remove("TIDEGATE_TOKEN_FILE").args(["drain", node, "--api", &api]).args(token))
    };
    let cases = [
        (order("worker-3", &[]), 2, "the API takes orders only with its token", "--token-file"),
        (order("worker-3", &["--token-file", "/does/not/exist"]), 1, "/does/not/exist cannot be read", "create it"),
        (order("worker-3", &["--token-file", &short]), 1, "could be guessed", "openssl rand"),
        (order("worker-3", &["--token-file", &wrong]), 1, "the token is missing or wrong", "api.tokenFile"),
        (order("worker-7", &["--token-file", &token]), 1, "no node worker-7", "tidegate status"),
        (order("worker-8", &["--token-file", &token]), 1, "does not lead, b_1_2 does", "ask the leader"),
    ];
    for (ended, code, what, cure) in cases {
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{}", ended.err);
        let lines: Vec<&str> = ended.err.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains(what) && lines[1].contains(cure), "{}", ended.err);
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("fedcba"), "{}", ended.err);
    }
}

/// The status of the fake API does not change, so that a wait ends at once or not at all.
#[test]
fn waiting_for_an_order_ends_when_it_is_followed_or_the_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let token = token(&folder);
    let mut behind = replicated();
    behind["loadBalancers"][2]["inSync"] = false.into();
    let cases = [
        ("drain", "worker-2", replicated(), 0, "worker-2 is out of every load balancer\n"),
        ("drain", "worker-3", replicated(), 3, "worker-3 is not there yet: it is active by rule eligible"),
        ("drain", "worker-2", behind.clone(), 3, "worker-2 is not there yet: not in sync: lb-3\n"),
        ("undrain", "worker-3", replicated(), 0, "worker-3 is active in every load balancer\n"),
        ("undrain", "worker-1", replicated(), 3, "worker-1 is not there yet: it is draining by rule drained"),
        ("undrain", "worker-3", behind, 3, "worker-3 is not there yet: not in sync: lb-3\n"),
    ];
    for (order, node, status, code, words) in cases {
        let api = format!("http://{}", serve(status));
        let args = [order, node, "--wait", "--timeout", "1s", "--token-file", &token, "--api", &api];
        let ended = end(tidegate().args(args));
        assert!(ended.code == code && ended.out.contains(words), "{order} {node}: {} {}", ended.code, ended.out);
    }
}

#[test]
fn bad_usage_ends_with_2() {
    for args in [
        &["frobnicate"][..],
        &["status", "--api", "ftp://x"],
        &["status", "--timeout", "5s"],
        &["explain", "Not A Node"],
        &["run"],
        &["run", "-c", "/does/not/exist.yaml"],
        &["check", "-c", "/does/not/exist.yaml"],
        &["render", "-c", "/does/not/exist.yaml"],
        &["drain"],
        &["drain", "worker-1", "--timeout", "5s"],
        &["uninstall"],
        &["store"],
        &["store", "migrate", "--from", "/does/not/exist.yaml", "--to", "/does/not/exist.yaml"],
    ] {
        let ended = end(tidegate().args(args));
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}: {}", ended.err);
        assert!(!ended.err.is_empty());
    }
}

#[test]
fn check_reports_all_problems_and_ends_with_2() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/eight-mistakes.yaml");
    let ended = end(tidegate().args(["check", "-c", file]));
    assert_eq!((ended.code, ended.err.as_str()), (2, ""));
    assert_eq!(ended.out.lines().count(), 9, "{}", ended.out);
    assert!(ended.out.starts_with(&format!("{file}:3:9: cluster.name: ")), "{}", ended.out);
    assert!(ended.out.ends_with(": 8 problems\n"), "{}", ended.out);
    let ended = end(tidegate().args(["check", "-c", file, "-o", "json"]));
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &report["ok"], report["problems"].as_array().unwrap().len()), (2, &Value::Bool(false), 8));
    assert_eq!(report["problems"][0]["line"], 3);
}

#[test]
fn the_roles_refuse_a_bad_file_with_the_same_lines() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/eight-mistakes.yaml");
    let ended = end(tidegate().args(["run", "-c", file]));
    assert_eq!((ended.code, ended.err.lines().count()), (2, 9), "{}", ended.err);
}

#[test]
fn check_looks_at_files_without_showing_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agent.yaml");
    let text = "agent: { secretFiles: [ a.secret, b.secret, none.secret ], engine: { nginx: {} },\n  \
                tls: { certFile: a.secret, keyFile: a.secret } }\n";
    fs::write(&config, text).unwrap();
    fs::write(folder.path().join("a.secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    fs::set_permissions(folder.path().join("a.secret"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(folder.path().join("b.secret"), "hunter2hunter2!\n").unwrap();
    let ended = end(tidegate().args(["check", "-c"]).arg(&config));
    assert_eq!(ended.code, 2);
    for expected in [
        "warning: agent.secretFiles[0]: ",
        "can be read by every user of this machine; cure: chmod 600 ",
        "agent.secretFiles[1]: ",
        "is not base64",
        "agent.secretFiles[2]: ",
        "none.secret cannot be read: there is no such file",
        "agent.tls.certFile: ",
        "holds no certificate",
        "agent.tls.keyFile: ",
        "holds no private key",
        ": 4 problems, 1 warning\n",
    ] {
        assert!(ended.out.contains(expected), "{expected} is missing in\n{}", ended.out);
    }
    assert!(!ended.out.contains("hunter2") && !ended.out.contains("MfKQ9r8"), "{}", ended.out);
}

#[test]
fn schema_and_completions_are_printed() {
    let schema: Value = serde_json::from_str(&end(tidegate().arg("schema")).out).unwrap();
    assert_eq!(schema["title"], "Tidegate configuration");
    for shell in ["bash", "zsh", "fish"] {
        let ended = end(tidegate().args(["completions", shell]));
        assert!(ended.code == 0 && ended.out.contains("take-over"), "{shell}");
    }
}

#[test]
fn render_shows_an_example_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("run.yaml");
    let text = "cluster: { name: prod }\nstore: { sqlite: { path: t.db } }\n\
                listeners: [ { name: http, bind: \"127.0.0.1:8080\", targetPort: 80 } ]\n\
                agent: { stateDir: state, engine: { nginx: { configFile: nginx.conf } } }\n";
    fs::write(&config, text).unwrap();
    let ended = end(tidegate().args(["render", "--example", "-c"]).arg(&config));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(
        ended.out.contains("server 192.0.2.11:80;") && ended.out.contains("listen 127.0.0.1:8080"),
        "{}",
        ended.out
    );
    let ended = end(tidegate().args(["render", "-c"]).arg(&config));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("nothing has been recorded in") && ended.err.contains("--example"), "{}", ended.err);
    let ended = end(tidegate().args(["history", "--api", NOBODY, "-c"]).arg(&config));
    assert!(ended.code == 1 && ended.err.contains("nothing has been recorded"), "{}", ended.err);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["run.yaml"], "reading creates nothing");
}
