//! One load balancer on this machine: a folder, a configuration, a store with members, an ingress.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate_core::eligibility::Rule;
use tidegate_core::ids::{ClusterName, NodeName, NodeUid};
use tidegate_core::log::{Change, LogState, Phase};
use tidegate_core::membership::{Member, MemberState};
use tidegate_core::node::Weight;
use tidegate_core::position::Term;
use tidegate_store::{SqliteStore, Store as _};

/// Generous: the machine may be busy with other tests. Nothing waits this long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(30);
const GREETING: &[u8] = b"hello from the node\n";

pub struct Site {
    pub folder: tempfile::TempDir,
    pub listener: SocketAddr,
    ingress: SocketAddr,
}

/// A free port of this machine. Between this and its use somebody may take it; then the test says so.
pub fn free() -> SocketAddr {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // A program that another test is just starting holds a copy of the socket until it is executed.
    wait_for("nobody accepts any more", || TcpStream::connect(address).is_err().then_some(address))
}

impl Site {
    pub fn new() -> Self {
        let ingress = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = ingress.local_addr().unwrap();
        std::thread::spawn(move || {
            for client in ingress.incoming() {
                let _ = client.unwrap().write_all(GREETING);
            }
        });
        Self { folder: tempfile::tempdir().unwrap(), listener: free(), ingress: address }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// `cluster`, `store`, `listeners` and `api` of a controller whose API server does not exist (yet).
    pub fn controller_sections(&self) -> String {
        let (bind, port) = (self.listener, self.ingress.port());
        format!(
            "cluster: {{ name: prod, kubeconfig: kubeconfig }}\nstore: {{ sqlite: {{ path: tidegate.db }} }}\n\
             listeners: [ {{ name: http, bind: \"{bind}\", targetPort: {port} }} ]\napi: {{ listen: \"127.0.0.1:0\" }}\n"
        )
    }

    pub const ENGINE: &str = "stateDir: state, engine: { nginx: { configFile: nginx.conf, workers: 1 } }";

    /// The configuration of `tidegate run`.
    pub fn run_config(&self) -> PathBuf {
        self.write("run.yaml", &format!("{}agent: {{ {} }}\n", self.controller_sections(), Self::ENGINE))
    }

    /// Records one active node, as an earlier controller would have: this machine.
    pub fn record_member(&self) {
        let store = SqliteStore::open(&self.path("tidegate.db"), &ClusterName::parse("prod").unwrap()).unwrap();
        let (node, uid) = (NodeName::parse("worker-1").unwrap(), NodeUid::parse("uid-1").unwrap());
        let (rule, observation, since) = (Rule::Eligible, "Ready".to_owned(), Timestamp::now());
        let member = Member {
            node: node.clone(),
            hostname: "worker-1".to_owned(),
            addresses: vec![self.ingress.ip()],
            state: MemberState::Active,
            rule,
            reason: observation.clone(),
            since,
            retiring: Vec::new(),
            apart: BTreeMap::new(),
            weight: Weight::ONE,
            zone: None,
        };
        let mut log = LogState::default();
        let election = log.election("earlier/1", since);
        log.append(&election).unwrap();
        let change = Change { uid, node, from: Phase::Out, to: Some(member), rule, observation };
        let entry = log.next_entry(Term(1), "earlier/1", since, vec![change]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            store.append(&election).await.unwrap();
            store.append(&entry).await.unwrap();
        });
    }

    /// Whether a client of the load balancer is greeted by the node.
    pub fn is_served(&self) -> bool {
        let mut answer = Vec::new();
        let Ok(mut client) = TcpStream::connect(self.listener) else { return false };
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let _ = client.read_to_end(&mut answer);
        answer == GREETING
    }

    pub fn wait_served(&self) {
        wait_for("the listener to serve the node", || self.is_served().then_some(()));
    }
}

impl Drop for Site {
    /// nginx outlives Tidegate on purpose: end the one that this site started, by its pid file.
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.path("state/nginx.pid")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running `tidegate`, its log in a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = folder.join(format!("{}.log", args[0]));
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The address in the log line that contains `marker`.
    pub fn address_after(&mut self, marker: &str) -> SocketAddr {
        wait_for(marker, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("tidegate ended with {status}:\n{}", self.log());
            }
            let log = self.log();
            let line = log.lines().find(|line| line.contains(marker))?;
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        })
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for("tidegate to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of a GET over plain HTTP.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: tidegate\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let code = answer.split_whitespace().nth(1)?.parse().ok()?;
    Some((code, answer.split_once("\r\n\r\n")?.1.to_owned()))
}
