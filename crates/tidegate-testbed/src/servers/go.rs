//! Go servers: built from the modules in `testservers/`, which pin every version and checksum.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use sha2::{Digest, Sha256};

use super::{cache, progress};

/// One module of `testservers/` and what is built from it.
pub(super) struct GoModule {
    folder: &'static str,
    version: &'static str,
    packages: &'static [&'static str],
    /// Where go leaves a binary whose package is the module root of a major version.
    renames: &'static [(&'static str, &'static str)],
    ldflags: &'static str,
    expected: &'static str,
}

pub(super) const KUBERNETES: GoModule = GoModule {
    folder: "kubernetes",
    version: "v1.36.3",
    packages: &["k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager"],
    renames: &[],
    // Without these, clients see server version v0.0.0.
    ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
              -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
    expected: "5 to 7 min on two quiet cores",
};

pub(super) const ETCD: GoModule = GoModule {
    folder: "etcd",
    version: "3.6.16",
    packages: &["go.etcd.io/etcd/server/v3"],
    renames: &[("server", "etcd")],
    ldflags: "-s -w",
    expected: "30 to 70 s on two quiet cores",
};

/// Not a server: it renders the chart that we ship.
pub(super) const HELM: GoModule = GoModule {
    folder: "helm",
    version: "v3.22.0",
    packages: &["helm.sh/helm/v3/cmd/helm"],
    renames: &[],
    ldflags: "-s -w",
    expected: "2 to 4 min on two quiet cores",
};

/// A MongoDB-protocol server on SQLite files, embedded in a main of ours: installed from its own path it panics.
pub(super) const FERRETDB: GoModule = GoModule {
    folder: "ferretdb",
    version: "v1.24.2",
    packages: &["."],
    renames: &[],
    ldflags: "-s -w",
    expected: "1 to 2 min on two quiet cores",
};

impl GoModule {
    /// The path of `binary`, built first when this exact module has not been built yet.
    pub(super) fn ensure(&self, binary: &str) -> Result<PathBuf> {
        let source = sources().join(self.folder);
        let folder = cache::ensure(&self.key(&source)?, |out| self.build(&source, out))?;
        let path = folder.join(binary);
        ensure!(path.is_file(), "{} was built, but {binary} is not in it", folder.display());
        Ok(path)
    }

    /// Changes with every version, checksum and flag that could change the binary.
    fn key(&self, source: &Path) -> Result<String> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum", "main.go"] {
            // Only a server that is embedded in a main of ours has one.
            if file != "main.go" || source.join(file).exists() {
                hash.update(fs::read(source.join(file))?);
            }
        }
        hash.update(self.ldflags);
        hash.update(self.packages.join(" "));
        hash.update(std::env::consts::ARCH);
        let mut digest = hex::encode(hash.finalize());
        digest.truncate(12);
        Ok(format!("{}-{}-{digest}", self.folder, self.version))
    }

    fn build(&self, source: &Path, out: &Path) -> Result<()> {
        progress(&format!("building {} {}: {}, once", self.folder, self.version, self.expected));
        let started = Instant::now();
        let status = Command::new("go")
            .current_dir(source)
            .args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", self.ldflags, "-o"])
            // The trailing slash makes `go build` treat it as a folder.
            .arg(format!("{}/", out.display()))
            .args(self.packages)
            .status()
            .context("starting `go`: the test servers need Go 1.26 or newer, see testservers/README.md")?;
        ensure!(status.success(), "`go build` in {} failed ({status})", source.display());
        for (from, to) in self.renames {
            if out.join(from).exists() {
                fs::rename(out.join(from), out.join(to))?;
            }
        }
        progress(&format!("built {} {} in {:.0?}", self.folder, self.version, started.elapsed()));
        Ok(())
    }
}

pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testservers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_names_the_version_and_is_stable() {
        let source = sources().join("etcd");
        let key = ETCD.key(&source).unwrap();
        assert!(key.starts_with("etcd-3.6.16-"), "{key}");
        assert_eq!(key, ETCD.key(&source).unwrap());
    }

    #[test]
    fn the_versions_are_those_that_the_modules_pin() {
        for (module, package) in [
            (KUBERNETES, "k8s.io/kubernetes"),
            (ETCD, "go.etcd.io/etcd/server/v3"),
            (HELM, "helm.sh/helm/v3"),
            (FERRETDB, "github.com/FerretDB/FerretDB"),
        ] {
            let pinned = fs::read_to_string(sources().join(module.folder).join("go.mod")).unwrap();
            let line = pinned
                .lines()
                .find(|line| line.trim_start().trim_start_matches("require ").starts_with(&format!("{package} v")))
                .unwrap();
            assert!(line.contains(module.version), "{line}");
        }
    }
}
