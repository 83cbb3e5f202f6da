//! `tidegate controller` and `tidegate agent` as two processes: over a bad network, and over mutual TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::LoadBalancerStatus;
use tidegate_testbed::cluster::pki::Pki;
use tidegate_testbed::measure::StatusReader;
use tidegate_testbed::scenario::{PORT, active, api, in_sync, left, stands};
use tidegate_testbed::site::Tidegate;
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::unreliable::Unreliable;
use tidegate_testbed::{Site, SiteOptions};

const AGENT: &str = "127.0.0.1:8686";
const NETWORK: &str = "127.0.0.1:9686";
const LIMIT: Duration = Duration::from_secs(60);
const CHANGES: u32 = 40;

/// How the two processes are connected, as YAML.
struct Wires {
    agent: String,
    load_balancer: String,
}

struct Split {
    controller: Tidegate,
    agent: Tidegate,
    status: StatusReader,
    site: Site,
}

impl Split {
    /// Two processes on one machine; `wires` are the TLS sections of agent and load balancer, and the agent's URL.
    async fn start(wires: impl FnOnce(&Path) -> Result<Wires>) -> Result<Self> {
        let options = SiteOptions::without_lifecycle();
        let site = Site::start(options).await?;
        let folder = site.folder().to_owned();
        let secret = folder.join("webhook.secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
        let wires = wires(&folder)?;
        let agent = site.spawn_tidegate_on(Site::LB, "agent", &agent_yaml(&folder, &wires.agent))?;
        let yaml = controller_yaml(&site, &wires.load_balancer);
        let controller = site.spawn_tidegate_on(Site::LB, "controller", &yaml)?;
        let mut status = StatusReader::new(&site.lb(Site::LB)?.host, api()?);
        status.wait_up(LIMIT).await.with_context(|| controller.log_tail(20))?;
        Ok(Self { controller, agent, status, site })
    }

    fn logs(&self) -> String {
        format!("controller:\n{}\nagent:\n{}", self.controller.log_tail(20), self.agent.log_tail(20))
    }

    /// How many hooks the agent has answered with this result.
    async fn hooks(&self, result: &str) -> Result<u64> {
        let agent: SocketAddr = AGENT.parse()?;
        let metrics = self.site.lb(Site::LB)?.host.get(agent, "/metrics").await?.body;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("tidegate_hook_total{") && line.contains(&format!("result=\"{result}\"")));
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default())
    }
}

fn agent_yaml(folder: &Path, tls: &str) -> String {
    let folder = folder.display();
    format!(
        "cluster: {{ name: testbed }}
agent:
  listen: {AGENT}
  secretFiles: [{folder}/webhook.secret]{tls}
  stateDir: {folder}/agent
  engine: {{ nginx: {{ configFile: {folder}/nginx.conf, minReloadInterval: 200ms }} }}
"
    )
}

fn controller_yaml(site: &Site, load_balancer: &str) -> String {
    let folder = site.folder().display();
    format!(
        "cluster: {{ name: testbed, kubeconfig: {kubeconfig} }}
nodes: {{ joinDelay: 0s, drainTimeout: 10m }}
store: {{ sqlite: {{ path: {folder}/tidegate.db }} }}
listeners:
  - {{ name: http, bind: \"0.0.0.0:{PORT}\", targetPort: 80 }}
loadBalancers:
  - {{ name: lb, secretFile: {folder}/webhook.secret, {load_balancer} }}
",
        kubeconfig = site.kubeconfig().display(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_repeating_delaying_and_reordering_hooks_is_safe() -> Result<()> {
    let plain = || Wires { agent: String::new(), load_balancer: format!("url: \"http://{NETWORK}\"") };
    let mut split = Split::start(|_| Ok(plain())).await?;
    let host = split.site.lb(Site::LB)?.host.clone();
    let network = Unreliable::start(&host, NETWORK.parse()?, AGENT.parse()?, 7)?;
    let serving = split.status.wait("three nodes live", LIMIT, |s| in_sync(s) && active(s) == 3).await;
    serving.with_context(|| split.logs())?;
    let traffic = split.site.traffic(TrafficOptions::new(split.site.lb_address(PORT)?))?;

    // worker-3 stays, so that no guard has a say; the other two come and go.
    for change in 0..CHANGES {
        let worker = if change % 2 == 0 { "worker-1" } else { "worker-2" };
        let excluded = change / 2 % 2 == 0;
        split.site.worker(worker)?.kubelet.label(EXCLUDE_LABEL, excluded.then_some("true")).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    split.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    let end = |s: &tidegate_core::status::ClusterStatus| {
        in_sync(s) && left(s, "worker-1") && stands(s, "worker-2", Phase::Active)
    };
    let reached = split.status.wait("the end state live", LIMIT, end).await;
    reached.with_context(|| split.logs())?;

    let total = traffic.stop().await?;
    let [passed, lost, answers_lost, repeated, late] = network.mischief().counts();
    println!(
        "hooks: {passed} passed, {lost} lost, {answers_lost} answers lost, {repeated} repeated, {late} late; {total}"
    );
    assert!(
        [passed, lost, answers_lost, repeated, late].iter().all(|count| *count > 0),
        "each fault must have happened"
    );
    assert!(split.hooks("replayed").await? > 0, "a repeated hook must be refused as one");
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    Ok(())
}

/// With `client`, the controller shows a certificate of the agent's CA.
fn mutual_tls(folder: &Path, client: bool) -> Result<Wires> {
    let folder = folder.join("pki");
    std::fs::create_dir_all(&folder)?;
    let pki = Pki::create(&folder)?;
    let (ca, (certificate, key)) = (pki.ca_file(), pki.server_files());
    let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
    let shown = pki.client("controller", None)?;
    let (client_certificate, client_key) = (shown.certificate.display(), shown.key.display());
    let identity = format!(", clientCertFile: {client_certificate}, clientKeyFile: {client_key}");
    Ok(Wires {
        agent: format!("\n  tls: {{ certFile: {certificate}, keyFile: {key}, clientCaFile: {ca} }}"),
        load_balancer: format!("url: \"https://{AGENT}\", caFile: {ca}{}", if client { &identity } else { "" }),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controller_and_agent_know_each_other_by_certificates() -> Result<()> {
    let mut split = Split::start(|folder| mutual_tls(folder, true)).await?;
    let serving = split.status.wait("three nodes live over TLS", LIMIT, |s| in_sync(s) && active(s) == 3).await;
    serving.with_context(|| split.logs())?;
    split.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    let drained = split.status.wait("a change live", LIMIT, |s| in_sync(s) && left(s, "worker-1")).await;
    drained.with_context(|| split.logs())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_asks_for_a_certificate_takes_nothing_without_one() -> Result<()> {
    let mut split = Split::start(|folder| mutual_tls(folder, false)).await?;
    // Until the agent listens, nobody is there; then the cause is named.
    let refused = |s: &tidegate_core::status::ClusterStatus| {
        let told = |lb: &LoadBalancerStatus| lb.last_error.as_ref().map(|error| error.message.to_lowercase());
        s.load_balancers.iter().any(|lb| lb.live.is_none() && told(lb).is_some_and(|told| told.contains("certificate")))
    };
    split.status.wait("the refusal told", LIMIT, refused).await.with_context(|| split.logs())?;
    Ok(())
}
