//! The audit log of the API server: what a user really did, beside what Roles allow.

mod grant;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::Value;

pub use grant::Grant;

/// Every request once it is answered, and watches when they begin.
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{ level: Metadata }]
";

const LOG: &str = "audit.log";

/// The flags of kube-apiserver for a log in `folder`; writes the policy that they name.
pub(super) fn flags(folder: &Path) -> Result<Vec<String>> {
    let policy = folder.join("audit-policy.yaml");
    fs::write(&policy, POLICY)?;
    Ok(vec![
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", folder.join(LOG).display()),
        // A line is in the file before the client has its answer.
        "--audit-log-mode=blocking-strict".to_owned(),
    ])
}

/// One kind of request, as RBAC sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Empty for the core group.
    pub group: String,
    /// With its subresource, as `nodes/status`; a path for requests that are not about resources.
    pub resource: String,
    pub verb: String,
    /// Empty for cluster-wide requests.
    pub namespace: String,
    /// Empty where a request names no object, as a list.
    pub name: String,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{} \"{}\" in \"{}\"", self.verb, self.resource, self.group, self.name, self.namespace)
    }
}

/// What a user may do and never did, and what it tried in vain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    pub unused: Vec<Grant>,
    /// Refused by RBAC; a refusal by admission is another matter.
    pub missing: Vec<Use>,
}

impl Comparison {
    pub fn is_exact(&self) -> bool {
        self.unused.is_empty() && self.missing.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for grant in &self.unused {
            writeln!(f, "granted and never used: {grant}")?;
        }
        for used in &self.missing {
            writeln!(f, "used and not granted: {used}")?;
        }
        Ok(())
    }
}

/// What was asked of a cluster that was started with `audit: true`.
#[derive(Debug, Clone)]
pub struct Audit {
    log: PathBuf,
}

impl Audit {
    pub(super) fn of(folder: &Path) -> Self {
        Self { log: folder.join(LOG) }
    }

    /// What `user` did, and was allowed to do.
    pub fn used(&self, user: &str) -> Result<BTreeSet<Use>> {
        self.requests(user, "allow")
    }

    /// What `user` tried, and RBAC refused.
    pub fn refused(&self, user: &str) -> Result<BTreeSet<Use>> {
        self.requests(user, "forbid")
    }

    /// Compares what `user` did with the Roles and ClusterRoles among `objects`.
    pub fn compare_with_roles(&self, user: &str, objects: &[Value]) -> Result<Comparison> {
        let (used, missing) = (self.used(user)?, self.refused(user)?.into_iter().collect());
        let granted = grant::of_roles(objects)?;
        let unused = granted.into_iter().filter(|grant| !used.iter().any(|used| grant.allows(used))).collect();
        Ok(Comparison { unused, missing })
    }

    fn requests(&self, user: &str, decision: &str) -> Result<BTreeSet<Use>> {
        let log = fs::read_to_string(&self.log)?;
        // The server may be in the middle of the last line.
        let complete = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let mut found = BTreeSet::new();
        for line in complete.lines() {
            let event: Value = serde_json::from_str(line).context("a line of the audit log")?;
            if text(&event, "/user/username") == user && text(&event, DECISION) == decision {
                found.insert(use_of(&event));
            }
        }
        Ok(found)
    }
}

const DECISION: &str = "/annotations/authorization.k8s.io~1decision";

fn use_of(event: &Value) -> Use {
    let resource = match (text(event, "/objectRef/resource"), text(event, "/objectRef/subresource")) {
        ("", _) => text(event, "/requestURI").split('?').next().unwrap_or_default().to_owned(),
        (resource, "") => resource.to_owned(),
        (resource, subresource) => format!("{resource}/{subresource}"),
    };
    let own = |pointer| text(event, pointer).to_owned();
    Use {
        group: own("/objectRef/apiGroup"),
        resource,
        verb: own("/verb"),
        namespace: own("/objectRef/namespace"),
        name: own("/objectRef/name"),
    }
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
