//! A whole site, with a plain nginx in the place of what Tidegate would configure. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use tidegate_testbed::cluster::client_of;
use tidegate_testbed::process::Process;
use tidegate_testbed::traffic::{Snapshot, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions, deadline};

const SOON: Duration = Duration::from_secs(20);

/// Plain round robin over the workers, as an administrator would write it.
fn balance(site: &Site, folder: &Path) -> Process {
    let servers: Vec<String> =
        site.workers.values().map(|worker| format!("server {};", worker.host.address(80))).collect();
    let config = format!(
        "daemon off; user root; worker_processes 1; pid {folder}/lb.pid; error_log {folder}/lb.error;
         load_module /usr/lib/nginx/modules/ngx_stream_module.so;
         events {{}}
         stream {{ upstream nodes {{ {} }} server {{ listen 80; proxy_pass nodes; proxy_connect_timeout 1s; }} }}",
        servers.join(" "),
        folder = folder.display()
    );
    let file = folder.join("lb.conf");
    std::fs::write(&file, config).unwrap();
    let argv = ["nginx", "-c", file.to_str().unwrap(), "-e", "/dev/null"];
    site.lb(Site::LB).unwrap().host.spawn("lb", &argv, folder.join("lb.log")).unwrap()
}

/// A program in the place of `tidegate`.
fn stand_in(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("tidegate");
    std::fs::write(&path, "#!/bin/sh\necho \"called: $*\"\ncat \"$3\"\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_site_serves_loses_a_machine_and_gets_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = SiteOptions { binary: stand_in(folder.path()), ..SiteOptions::default() };
    let mut site = Site::start(options).await.unwrap();
    let _engine = balance(&site, folder.path());

    // The load balancer machine reaches the API server with the same kubeconfig as we do.
    let kubeconfig = site.kubeconfig().to_owned();
    let nodes = site.lb(Site::LB).unwrap().host.run(|| async move {
        let nodes = Api::<Node>::all(client_of(&kubeconfig).await?);
        anyhow::Ok(nodes.list(&ListParams::default()).await?.items.len())
    });
    assert_eq!(nodes.await.unwrap().unwrap(), 3);

    let traffic = site.traffic(TrafficOptions::new(site.lb_address(80).unwrap())).unwrap();
    let all_three = |seen: &Snapshot| seen.by_node.len() == 3 && seen.ok() > 300;
    deadline::until_true("answers of three nodes", SOON, || all_three(&traffic.stats())).await.unwrap();
    let fine = traffic.stats();
    println!("fine: {fine}");

    site.power_off("worker-2").unwrap();
    site.worker("worker-2").unwrap().kubelet.wait_ready("Unknown", SOON).await.unwrap();
    let dark = traffic.stats();
    deadline::until_true("two nodes only", SOON, || traffic.stats().since(&dark).ok() > 200).await.unwrap();
    assert!(!traffic.stats().since(&dark).by_node.contains_key("worker-2"));

    site.power_on("worker-2").await.unwrap();
    site.worker("worker-2").unwrap().kubelet.wait_ready("True", SOON).await.unwrap();
    let back = traffic.stats();
    let again = |seen: &Snapshot| seen.by_node.contains_key("worker-2");
    deadline::until_true("the third node again", SOON, || again(&traffic.stats().since(&back))).await.unwrap();
    println!("all: {}", traffic.stop().await.unwrap());

    let worker = site.add_worker("worker-4").await.unwrap();
    worker.kubelet.wait_ready("True", SOON).await.unwrap();
    worker.kubelet.delete().await.unwrap();
    worker.kubelet.wait_gone(SOON).await.unwrap();
    site.remove_worker("worker-4").unwrap();

    let tidegate = site.spawn_tidegate("cluster: { name: site }\n").unwrap();
    let said = "called: run -c ";
    deadline::until_true("its log", SOON, || tidegate.log_tail(5).contains("name: site")).await.unwrap();
    assert!(tidegate.log_tail(5).contains(said));
    tidegate.kill9().unwrap();
    assert!(!tidegate.is_running());
    tidegate.reconfigure("cluster: { name: other }\n").unwrap();
    tidegate.restart().unwrap();
    deadline::until_true("its new config", SOON, || tidegate.log_tail(5).contains("name: other")).await.unwrap();
    tidegate.terminate(SOON).await.unwrap();
}
