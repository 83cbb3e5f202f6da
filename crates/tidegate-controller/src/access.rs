//! What a controller may do at the API server, asked beforehand: each right by itself, so that a missing one has a name.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::core::Request;
use tidegate_core::carriage::Demand;
use tidegate_core::follow::{Follow, Target};

use crate::kube_source::client::{bounded, failure};
use crate::source::ApiFailure;

/// A call that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One thing that a controller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right<'a> {
    /// `get`, `list`, ...
    pub verb: &'static str,
    /// Empty: the core group.
    pub group: &'static str,
    /// In the plural.
    pub resource: &'static str,
    /// Absent: cluster-wide.
    pub namespace: Option<&'a str>,
    /// Only the object of this name.
    pub name: Option<&'static str>,
}

impl fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        self.name.map_or(Ok(()), |name| write!(f, " {name}"))?;
        self.namespace.map_or(Ok(()), |namespace| write!(f, " in namespace {namespace}"))
    }
}

/// Everything that a controller does: what `deploy/rbac.yaml` grants, and `deploy/rbac-follow.yaml` for what its listeners
/// follow, no less and no more (tests compare them). `leases` is the namespace of the election; absent: there is none.
pub fn rights<'a>(leases: Option<&'a str>, demands: &'a [Demand]) -> Vec<Right<'a>> {
    let of = |group, resource, namespace, name, verbs: &[&'static str]| -> Vec<Right<'a>> {
        verbs.iter().map(|verb| Right { verb, group, resource, namespace, name }).collect()
    };
    let mut all = of("", "nodes", None, None, &["get", "list", "watch", "patch"]);
    all.extend(of("", "namespaces", None, Some("kube-system"), &["get"]));
    all.extend(of("events.k8s.io", "events", Some("default"), None, &["create", "patch"]));
    if leases.is_some() {
        let verbs = &["get", "list", "watch", "create", "update", "delete"];
        all.extend(of("coordination.k8s.io", "leases", leases, None, verbs));
    }
    let follows: BTreeSet<&Follow> = demands.iter().filter_map(|demand| demand.follow.as_ref()).collect();
    for Follow { namespace, target } in follows {
        let (group, resource) = match target {
            Target::Pods(_) => ("", "pods"),
            Target::Service(_) => ("discovery.k8s.io", "endpointslices"),
        };
        all.extend(of(group, resource, Some(namespace), None, &["list", "watch"]));
    }
    all
}

/// Those that the credentials of this client do not have (`SelfSubjectAccessReview`, which every user may ask).
pub async fn missing<'a>(client: kube::Client, rights: &[Right<'a>]) -> Result<Vec<Right<'a>>, ApiFailure> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(bounded(client, CALL_TIMEOUT));
    let mut missing = Vec::new();
    for right in rights {
        let answer = reviews.create(&PostParams::default(), &review(right)).await.map_err(|error| failure(&error))?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(*right);
        }
    }
    Ok(missing)
}

fn review(right: &Right<'_>) -> SelfSubjectAccessReview {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let attributes = ResourceAttributes {
        verb: text(Some(right.verb)),
        group: text(Some(right.group)),
        resource: text(Some(right.resource)),
        namespace: text(right.namespace),
        name: text(right.name),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}

/// An API server that answered.
#[derive(Clone, Debug)]
pub struct ApiServerSeen {
    /// `v1.36.0`
    pub version: String,
    /// Its clock, to the second; absent when it does not tell.
    pub clock: Option<Timestamp>,
}

/// Asks for version and time, in one answer.
pub async fn look(client: kube::Client) -> Result<ApiServerSeen, ApiFailure> {
    let client = bounded(client, CALL_TIMEOUT);
    let request = Request::new("/version").list(&ListParams::default());
    let request = request.map_err(|error| ApiFailure::Unreachable { detail: error.to_string() })?;
    let response = client.send(request.map(Body::from)).await.map_err(|error| failure(&error))?;
    let date = response.headers().get("date").and_then(|value| value.to_str().ok());
    let clock = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).map(|zoned| zoned.timestamp());
    let code = response.status().as_u16();
    let body = response.into_body().collect_bytes().await.map_err(|error| failure(&error))?;
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let version = said.as_ref().and_then(|said| said.get("gitVersion")?.as_str()).map(str::to_owned);
    let message = || String::from_utf8_lossy(&body).chars().take(200).collect();
    let version = version.ok_or_else(|| ApiFailure::Answered { code, message: message() })?;
    Ok(ApiServerSeen { version, clock })
}
