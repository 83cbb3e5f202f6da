//! What happens in the demo, step by step.

use std::time::Duration;

use anyhow::{Result, ensure};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use tidegate_core::log::Phase;
use tidegate_testbed::measure::Sighting;
use tidegate_testbed::scenario::PORT;
use tidegate_testbed::traffic::Snapshot;
use tidegate_testbed::{Site, SiteOptions};

use super::screen::Screen;
use super::stage::{Stage, Step};
use super::table;

/// Long enough to see the traffic move, and to count some hundred requests.
const LOOK: Duration = Duration::from_secs(3);

pub async fn tell(rate: u32, hold: bool, screen: &Screen) -> Result<()> {
    chapter(screen, "A cluster without nodes, and one load balancer machine with `tidegate run`");
    note(screen, "starting etcd, kube-apiserver, kube-controller-manager (about 10 s)");
    let mut stage = Stage::set_up(screen).await?;
    let steps = play(&mut stage, rate, screen).await?;
    let total = stage.end_traffic().await?;
    screen.close();
    println!("\n{}", table::render(&steps, &total));
    println!(
        "Joins include joinDelay ({} here, 10s by default), counted from the API's whole seconds.\n",
        stage.scene.config.join_delay
    );
    if hold {
        look_around(&stage)?;
        std::future::pending::<()>().await;
    }
    ensure!(total.failed() == 0, "{} of {} requests failed: {total}", total.failed(), total.sent());
    Ok(())
}

async fn play(stage: &mut Stage, rate: u32, screen: &Screen) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    chapter(screen, "The first node becomes Ready");
    let first = join(stage, "worker-1").await?;
    steps.push(step(stage, "worker-1 joins: first traffic", first, &stage.stats(), screen));
    stage.send_traffic(rate, screen)?;
    look().await;

    chapter(screen, "Two more nodes join");
    let before = stage.stats();
    join(stage, "worker-2").await?;
    let third = join(stage, "worker-3").await?;
    look().await;
    steps.push(step(stage, "worker-2, worker-3 join", third, &before, screen));

    chapter(screen, "A worker is added under load");
    let before = stage.stats();
    let fourth = join(stage, "worker-4").await?;
    look().await;
    steps.push(step(stage, "worker-4 is added", fourth, &before, screen));

    steps.push(delete(stage, screen).await?);
    steps.push(not_ready(stage, screen).await?);
    steps.push(come_back(stage, screen).await?);
    Ok(steps)
}

/// A new machine; measured from the moment when its Node is Ready.
async fn join(stage: &mut Stage, name: &str) -> Result<Duration> {
    let mark = stage.scene.clock.mark();
    stage.scene.site.add_worker(name).await?;
    let ready = |seen: &Sighting| seen.name == name && seen.ready() == Some("True");
    stage.scene.measure(mark, ready, name, Phase::Active).await
}

async fn delete(stage: &mut Stage, screen: &Screen) -> Result<Step> {
    chapter(screen, "kubectl delete node worker-2: no new connections at once, the old ones end by themselves");
    let before = stage.stats();
    let mark = stage.scene.clock.mark();
    stage.scene.site.worker("worker-2")?.kubelet.delete().await?;
    let gone = |seen: &Sighting| seen.name == "worker-2" && seen.node.is_none();
    let to_live = stage.scene.measure(mark, gone, "worker-2", Phase::Draining).await?;
    note(screen, &format!("out of nginx; its old connections have {}", stage.scene.config.drain_timeout));
    stage.scene.wait_phase("worker-2", Phase::Out).await?;
    note(screen, "the drain is over: the machine is switched off");
    stage.scene.site.remove_worker("worker-2")?;
    look().await;
    Ok(step(stage, "worker-2 is deleted, then off", to_live, &before, screen))
}

async fn not_ready(stage: &mut Stage, screen: &Screen) -> Result<Step> {
    chapter(screen, "The kubelet of worker-3 dies; its machine still serves");
    let before = stage.stats();
    let mark = stage.scene.clock.mark();
    stage.scene.site.worker("worker-3")?.kubelet.stop();
    note(screen, "Kubernetes notices after the grace period (4 s here, 50 s by default)");
    let unknown = |seen: &Sighting| seen.name == "worker-3" && seen.ready() == Some("Unknown");
    let to_live = stage.scene.measure(mark, unknown, "worker-3", Phase::Draining).await?;
    look().await;
    Ok(step(stage, "worker-3 goes NotReady", to_live, &before, screen))
}

async fn come_back(stage: &mut Stage, screen: &Screen) -> Result<Step> {
    chapter(screen, "The kubelet of worker-3 returns: the drain is cancelled");
    let before = stage.stats();
    let mark = stage.scene.clock.mark();
    stage.scene.site.worker("worker-3")?.kubelet.resume().await?;
    let ready = |seen: &Sighting| seen.name == "worker-3" && seen.ready() == Some("True");
    let to_live = stage.scene.measure(mark, ready, "worker-3", Phase::Active).await?;
    look().await;
    Ok(step(stage, "worker-3 returns", to_live, &before, screen))
}

fn step(stage: &Stage, name: &str, to_live: Duration, before: &Snapshot, screen: &Screen) -> Step {
    let traffic = stage.stats().since(before);
    let ms = to_live.as_millis();
    note(screen, &format!("API event to live: {ms} ms; {} requests, {} failed", traffic.sent(), traffic.failed()));
    Step { name: name.to_owned(), to_live, traffic }
}

async fn look() {
    tokio::time::sleep(LOOK).await;
}

fn chapter(screen: &Screen, text: &str) {
    screen.say(Line::default());
    screen.say(Line::from(vec![Span::raw("▶ ").cyan(), Span::raw(text.to_owned()).bold()]));
}

fn note(screen: &Screen, text: &str) {
    screen.say(Line::from(format!("  {text}")));
}

fn look_around(stage: &Stage) -> Result<()> {
    let site = &stage.scene.site;
    let inside = format!("ip netns exec {}", site.lb(Site::LB)?.host.namespace());
    let tidegate = SiteOptions::default().binary.canonicalize()?;
    println!("Everything is still running. In another terminal:\n");
    for arguments in ["status", "explain worker-3", "history"] {
        println!("  {inside} {} {arguments}", tidegate.display());
    }
    println!("  {inside} curl -s http://127.0.0.1:8685/metrics");
    println!("  {inside} curl -s http://{}/", site.lb_address(PORT)?);
    println!("  KUBECONFIG={} kubectl get nodes", site.cluster.kubeconfig().display());
    println!("  sqlite3 {}/tidegate.db 'select _id, ip, hostname from nodes'", site.folder().display());
    println!("  cat {}", stage.scene.config.config_file(site).display());
    println!("  tail -f {}\n", stage.scene.tidegate.log().display());
    println!("Ctrl-C removes all of it.");
    Ok(())
}
