//! Writes kubeconfig files that point at files of the cluster's folder.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use fs_err as fs;

use super::pki::Credentials;

pub(super) fn write(path: &Path, server: SocketAddr, ca: &Path, client: &Credentials) -> Result<()> {
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
    user: {{ client-certificate: \"{certificate}\", client-key: \"{key}\" }}
",
        ca = ca.display(),
        user = client.user,
        certificate = client.certificate.display(),
        key = client.key.display(),
    );
    Ok(fs::write(path, text)?)
}
