//! The command lines of the control plane.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{ClusterOptions, Etcd};
use crate::process::Spec;
use crate::servers::{ControlPlane, ensure_control_plane, ensure_controller_manager, ensure_old_etcd};

pub(super) struct Binaries {
    control_plane: ControlPlane,
    pub(super) controller_manager: Option<PathBuf>,
}

impl Binaries {
    /// Blocks for minutes when something has to be built.
    pub(super) fn ensure(options: &ClusterOptions) -> Result<Self> {
        let mut control_plane = ensure_control_plane()?;
        if options.etcd == Etcd::Old {
            control_plane.etcd = ensure_old_etcd()?;
        }
        let controller_manager = options.controller_manager.then(ensure_controller_manager).transpose()?;
        Ok(Self { control_plane, controller_manager })
    }
}

pub(super) fn etcd(binaries: &Binaries, folder: &Path, client: SocketAddr, peer: SocketAddr) -> Spec {
    let argv = vec![
        binaries.control_plane.etcd.display().to_string(),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster=default=http://{peer}"),
        // Durability against power cuts is not what is tested, and fsync dominates on a busy disk.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Spec::new("etcd", argv, folder.join("etcd.log"))
}

pub(super) fn apiserver(
    binaries: &Binaries,
    folder: &Path,
    options: &ClusterOptions,
    etcd: SocketAddr,
    listen: SocketAddr,
) -> Spec {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut argv = vec![
        binaries.control_plane.kube_apiserver.display().to_string(),
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", listen.ip()),
        format!("--secure-port={}", listen.port()),
        format!("--advertise-address={}", listen.ip()),
        format!("--cert-dir={}", file("apiserver")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("service-account.pub")),
        format!("--service-account-signing-key-file={}", file("service-account.key")),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        // Pods need no service account here, and node taints are ours to set.
        "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        // Without it, SIGTERM leaves watches silent for 61 s.
        "--shutdown-watch-termination-grace-period=2s".to_owned(),
    ];
    if !options.watch_cache {
        argv.push("--watch-cache=false".to_owned());
    }
    argv.extend(options.apiserver_args.iter().cloned());
    Spec::new("kube-apiserver", argv, folder.join("kube-apiserver.log"))
}

pub(super) fn controller_manager(binary: &Path, folder: &Path, kubeconfig: &Path, options: &ClusterOptions) -> Spec {
    let argv = vec![
        binary.display().to_string(),
        format!("--kubeconfig={}", kubeconfig.display()),
        "--controllers=node-lifecycle-controller,pod-garbage-collector-controller".to_owned(),
        "--leader-elect=false".to_owned(),
        "--node-monitor-period=500ms".to_owned(),
        format!("--node-monitor-grace-period={}ms", options.node_grace.as_millis()),
        // No health port: nothing asks it.
        "--secure-port=0".to_owned(),
    ];
    Spec::new("kube-controller-manager", argv, folder.join("kube-controller-manager.log"))
}
