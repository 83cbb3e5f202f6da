//! Writes kubeconfig files that point at files of the cluster's folder.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use fs_err as fs;

use super::pki::Credentials;

/// How a user proves who it is.
pub(super) enum Identity<'a> {
    Certificate(&'a Credentials),
    Token { user: &'a str, token: &'a str },
}

impl Identity<'_> {
    fn user(&self) -> &str {
        match self {
            Self::Certificate(credentials) => &credentials.user,
            Self::Token { user, .. } => user,
        }
    }

    fn yaml(&self) -> String {
        match self {
            Self::Certificate(Credentials { certificate, key, .. }) => {
                format!("{{ client-certificate: \"{}\", client-key: \"{}\" }}", certificate.display(), key.display())
            }
            Self::Token { token, .. } => format!("{{ token: \"{token}\" }}"),
        }
    }
}

pub(super) fn write(path: &Path, server: SocketAddr, ca: &Path, identity: &Identity<'_>) -> Result<()> {
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: testbed
clusters:
  - name: testbed
    cluster: {{ server: \"https://{server}\", certificate-authority: \"{ca}\" }}
contexts:
  - name: testbed
    context: {{ cluster: testbed, user: \"{user}\" }}
users:
  - name: \"{user}\"
    user: {credentials}
",
        ca = ca.display(),
        user = identity.user(),
        credentials = identity.yaml(),
    );
    Ok(fs::write(path, text)?)
}
