//! nginx is killed, the disk is full, templates are wrong, ports are taken: traffic goes on, and Tidegate says what is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, in_sync, left};
use tidegate_testbed::traffic::{Traffic, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions, deadline};

fn traffic(scene: &Scenario) -> Result<Traffic> {
    scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))
}

async fn exclude(scene: &Scenario, node: &str, excluded: bool) -> Result<()> {
    scene.site.worker(node)?.kubelet.label(EXCLUDE_LABEL, excluded.then_some("true")).await
}

/// What the load balancer says is wrong.
fn last_error(status: &ClusterStatus) -> String {
    let errors = status.load_balancers.iter().filter_map(|lb| lb.last_error.as_ref());
    errors.map(|error| error.message.clone()).collect()
}

fn pid_of(file: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.trim().parse()?)
}

fn kill9(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().filter_map(|child| child.parse().ok()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_is_started_again() -> Result<()> {
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), RunConfig::default()).await?;
    let pid_file = scene.site.folder().join("agent/nginx.pid");
    let target = scene.site.lb_address(PORT)?;

    // The master alone: its workers are orphans that still serve, and must not stay in the way.
    let running = traffic(&scene)?;
    let master = pid_of(&pid_file)?;
    kill9(master)?;
    let replaced = || pid_of(&pid_file).is_ok_and(|now| now != master);
    deadline::until_true("a new master", Duration::from_secs(10), replaced).await?;
    exclude(&scene, "worker-1", true).await?;
    scene.wait_left("worker-1").await?;
    let total = running.stop().await?;
    println!("master killed: {total}");
    // A crash: what was lost is counted, and it is over within the moment between two masters.
    assert!(total.failed() * 20 < total.sent(), "more than a moment was lost: {total}");

    // Everything: nobody listens until Tidegate notices.
    let master = pid_of(&pid_file)?;
    let workers = children(master)?;
    kill9(master)?;
    for worker in workers {
        kill9(worker)?;
    }
    let host = scene.site.client.clone();
    deadline::until("traffic again", Duration::from_secs(10), || async { host.get(target, "/").await.ok() }).await?;
    exclude(&scene, "worker-1", false).await?;
    scene.wait_phase("worker-1", Phase::Active).await?;
    let after = traffic(&scene)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let total = after.stop().await?;
    assert_eq!(total.failed(), 0, "{total}");
    assert_eq!(total.by_node.len(), 3, "all three serve again: {total}");
    Ok(())
}

/// A small file system of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        let mounted = std::process::Command::new("mount").args(options).arg(&folder).status()?;
        anyhow::ensure!(mounted.success(), "mounting a tmpfs needs root");
        Ok(Self(folder))
    }

    fn fill(&self) {
        // Ends with ENOSPC, which is the point.
        let _ = std::fs::write(self.0.join("filler"), vec![0_u8; 1 << 20]);
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_the_live_file_whole_and_heals_by_itself() -> Result<()> {
    let scratch = tidegate_testbed::run::current()?.scratch("small-disk")?;
    let disk = SmallDisk::mount(scratch.path().join("disk"))?;
    let config = RunConfig { config_file: Some(disk.0.join("nginx.conf")), ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let running = traffic(&scene)?;
    let before = std::fs::read(disk.0.join("nginx.conf"))?;

    disk.fill();
    exclude(&scene, "worker-1", true).await?;
    let (_, status) = scene.wait("the failure told", |status| !last_error(status).is_empty()).await?;
    let told = last_error(&status);
    assert!(told.contains("nginx.conf") && told.contains("cure"), "file and cure must be named: {told}");
    assert_eq!(std::fs::read(disk.0.join("nginx.conf"))?, before, "the live file is untouched");

    disk.free()?;
    scene.wait_left("worker-1").await?;
    let (_, status) = scene.wait("no error left", |status| last_error(status).is_empty()).await?;
    assert!(in_sync(&status));
    let total = running.stop().await?;
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    Ok(())
}

/// A template of the user's own that is good until it is broken.
const TEMPLATE: &str = include_str!("../../tidegate-agent/templates/nginx/stream.conf");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_template_never_goes_live() -> Result<()> {
    let scratch = tidegate_testbed::run::current()?.scratch("template")?;
    let template = scratch.path().join("own.conf.j2");
    std::fs::write(&template, TEMPLATE)?;
    let config = RunConfig { template: Some(template.clone()), ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let host = scene.site.lb(Site::LB)?.host.clone();
    // Somebody else has the port that the last of the broken templates wants.
    let _taken = host.listen("0.0.0.0:9999".parse()?).await?;
    let running = traffic(&scene)?;
    let broken = [
        ("does not render", TEMPLATE.replace("stream {", "stream { {{ no_such_value }}"), "render"),
        ("invalid", TEMPLATE.replace("stream {", "stream { no_such_directive on;"), "validate"),
        ("cannot bind", TEMPLATE.replace("stream {", "stream { server { listen 9999; return \"\"; }"), "verify"),
    ];
    for (number, (what, text, step)) in broken.into_iter().enumerate() {
        std::fs::write(&template, text)?;
        let excluded = number % 2 == 0;
        exclude(&scene, "worker-1", excluded).await?;
        let told = |status: &ClusterStatus| last_error(status).contains(&format!("{step} failed"));
        let (_, status) = scene.wait(&format!("a template that {what} told"), told).await?;
        assert!(!status.load_balancers.iter().any(|lb| lb.in_sync), "{what}: {status:?}");

        std::fs::write(&template, TEMPLATE)?;
        let healed = |s: &ClusterStatus| in_sync(s) && left(s, "worker-1") == excluded && last_error(s).is_empty();
        scene.wait(&format!("healed after a template that {what}"), healed).await?;
    }
    let total = running.stop().await?;
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    Ok(())
}
