//! Acting as a ServiceAccount, with a token that the API server itself issues.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use super::Cluster;
use super::kubeconfig::{self, Identity};

/// Longer than any test; the server accepts no less than 600.
const TOKEN_SECONDS: i64 = 3_600;

/// The user that RBAC and the audit log know a ServiceAccount by.
pub fn user_of(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

impl Cluster {
    /// Writes a kubeconfig with a new token of this ServiceAccount, and returns its path.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        let answer = answer.with_context(|| format!("asking for a token of ServiceAccount {namespace}/{name}"))?;
        let token = answer.status.context("a TokenRequest without an answer")?.token;
        let path = self.folder().join(format!("{namespace}.{name}.kubeconfig"));
        let identity = Identity::Token { user: name, token: &token };
        kubeconfig::write(&path, self.address(), &self.pki.ca_file(), &identity)?;
        Ok(path)
    }
}
