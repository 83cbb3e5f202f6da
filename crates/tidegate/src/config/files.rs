//! The files that the configuration names: are they there, readable, and what they should be?
//! Their content is never repeated in a message.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::webhook::{InvalidSecret, Secret};

use super::Role;
use super::one_line::{Kind, parse_one_line};
use super::problem::{Problems, Spot};
use super::raw::{RawConfig, RawLoadBalancer};
use super::read::At;
use super::text::Text;

/// A secret that cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("secret file {} cannot be read: {source}; cure: create it, readable for the user that tidegate runs as", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("secret file {} {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why; never the text itself.
        source: InvalidSecret,
    },
}

impl SecretError {
    /// Only a person can put a secret right.
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Reads a secret file: one line, `whsec_<base64>`.
pub fn read_secret(path: &Path) -> Result<Secret, SecretError> {
    let text = std::fs::read_to_string(path).map_err(|source| SecretError::Read { path: path.to_owned(), source })?;
    Secret::parse(&text).map_err(|source| SecretError::Parse { path: path.to_owned(), source })
}

/// Looks at every file that this role would open. The kubeconfig is looked at only when `kubeconfig` is
/// set: a controller waits for it, so its absence must not keep one from starting.
pub fn inspect(raw: &RawConfig, base: &Path, role: Role, kubeconfig: bool, problems: &mut Problems) {
    let mut inspector = Inspector { base, problems };
    if role != Role::Agent
        && kubeconfig
        && let Some(file) = raw.cluster.as_ref().and_then(|c| c.kubeconfig.as_ref())
    {
        inspector.kubeconfig(file);
    }
    if role != Role::Agent {
        let mongodb = raw.store.as_ref().and_then(|store| store.mongodb.as_ref());
        if let Some(file) = mongodb.and_then(|mongodb| mongodb.uri_file.as_ref()) {
            inspector.one_line(file, Kind::ConnectionString);
        }
        if let Some(file) = raw.api.as_ref().and_then(|api| api.token_file.as_ref()) {
            inspector.one_line(file, Kind::Token);
        }
    }
    if role == Role::Controller {
        raw.load_balancers.iter().flat_map(|list| &list.value).for_each(|lb| inspector.load_balancer(lb));
    }
    let Some(agent) = raw.agent.as_ref().filter(|_| role != Role::Controller) else { return };
    if role == Role::Agent {
        agent.secret_files.iter().flat_map(|list| &list.value).for_each(|file| inspector.secret(file));
        if let Some(tls) = &agent.tls {
            tls.cert_file.iter().chain(&tls.client_ca_file).for_each(|file| inspector.certificates(file));
            tls.key_file.iter().for_each(|file| inspector.key(file));
        }
    }
    if let Some(engine) = &agent.engine {
        let (templates, programs) = engine.files();
        for file in templates {
            drop(inspector.read(file));
        }
        for file in programs {
            inspector.program(file);
        }
    }
}

struct Inspector<'a> {
    base: &'a Path,
    problems: &'a mut Problems,
}

impl Inspector<'_> {
    fn read(&mut self, file: &At<Text<PathBuf>>) -> Option<Vec<u8>> {
        let path = self.base.join(&file.value.0);
        std::fs::read(&path)
            .map_err(|error| {
                let message = format!("{} cannot be read: {}", path.display(), plain(&error));
                self.problems.error(&file.spot, message, "create it, or correct the path or its permissions");
            })
            .ok()
    }

    fn load_balancer(&mut self, lb: &RawLoadBalancer) {
        lb.secret_file.iter().for_each(|file| self.secret(file));
        lb.ca_file.iter().chain(&lb.client_cert_file).for_each(|file| self.certificates(file));
        lb.client_key_file.iter().for_each(|file| self.key(file));
    }

    fn secret(&mut self, file: &At<Text<PathBuf>>) {
        let Some(bytes) = self.read(file) else { return };
        let path = self.base.join(&file.value.0);
        let cure = "printf 'whsec_%s' \"$(openssl rand -base64 32)\" > FILE, the same on both machines";
        match std::str::from_utf8(&bytes).map(Secret::parse) {
            Ok(Ok(_)) => self.private(&path, &file.spot),
            Ok(Err(error)) => {
                let what = error.to_string();
                let what = what.split("; cure:").next().unwrap_or_default();
                self.problems.error(&file.spot, format!("{} {what}", path.display()), cure);
            }
            Err(_) => self.problems.error(&file.spot, format!("{} is not text", path.display()), cure),
        }
    }

    fn one_line(&mut self, file: &At<Text<PathBuf>>, kind: Kind) {
        let Some(bytes) = self.read(file) else { return };
        let path = self.base.join(&file.value.0);
        let unfit = match std::str::from_utf8(&bytes) {
            Ok(text) => parse_one_line(text, kind).err(),
            Err(_) => Some(("is not text", "write one line of text")),
        };
        match unfit {
            None => self.private(&path, &file.spot),
            Some((problem, cure)) => self.problems.error(&file.spot, format!("{} {problem}", path.display()), cure),
        }
    }

    fn certificates(&mut self, file: &At<Text<PathBuf>>) {
        let Some(bytes) = self.read(file) else { return };
        let mut certificates = CertificateDer::pem_slice_iter(&bytes);
        if !matches!(certificates.next(), Some(Ok(_))) {
            let message = format!("{} holds no certificate", self.base.join(&file.value.0).display());
            self.problems.error(&file.spot, message, "write PEM: -----BEGIN CERTIFICATE-----");
        }
    }

    fn key(&mut self, file: &At<Text<PathBuf>>) {
        let Some(bytes) = self.read(file) else { return };
        let path = self.base.join(&file.value.0);
        if PrivateKeyDer::from_pem_slice(&bytes).is_ok() {
            return self.private(&path, &file.spot);
        }
        let message = format!("{} holds no private key", path.display());
        self.problems.error(&file.spot, message, "write PEM without a passphrase: -----BEGIN PRIVATE KEY-----");
    }

    /// Warns of a secret that everybody on this machine can read.
    fn private(&mut self, path: &Path, spot: &Spot) {
        let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode()).unwrap_or_default();
        if mode & 0o004 != 0 {
            let message = format!("{} can be read by every user of this machine", path.display());
            self.problems.warning(spot, message, format!("chmod 600 {}", path.display()));
        }
    }

    fn kubeconfig(&mut self, file: &At<Text<PathBuf>>) {
        if self.read(file).is_none() {
            return;
        }
        let path = self.base.join(&file.value.0);
        if let Err(error) = kube::config::Kubeconfig::read_from(&path) {
            let message = format!("{} is not a kubeconfig: {error}", path.display());
            self.problems.error(&file.spot, message, "copy the one that kubectl uses");
        }
    }

    fn program(&mut self, file: &At<Text<PathBuf>>) {
        let path = self.base.join(&file.value.0);
        if file.value.0.components().count() > 1 && !path.is_file() {
            let message = format!("{} is not a program", path.display());
            self.problems.error(
                &file.spot,
                message,
                "install it (docs/engines.md names the package of each engine), or correct the path",
            );
        }
    }
}

/// An I/O error without its number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
