//! What Roles allow, one verb on one resource at a time.

use std::fmt;

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use serde_json::Value;

use super::Use;
use crate::manifests::name_of;

/// One verb on one resource: the smallest thing that can be left out of a Role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The Role that it comes from.
    pub role: String,
    /// None in a ClusterRole, which is taken to be bound everywhere.
    pub namespace: Option<String>,
    pub group: String,
    /// With its subresource, or the path of a URL.
    pub resource: String,
    pub verb: String,
    /// One of `resourceNames`; none when every object is meant.
    pub name: Option<String>,
}

impl Grant {
    /// Whether this is what permits `used`.
    pub fn allows(&self, used: &Use) -> bool {
        let fits = |granted: &str, used: &str| granted == "*" || granted == used;
        fits(&self.group, &used.group)
            && fits(&self.resource, &used.resource)
            && fits(&self.verb, &used.verb)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == used.namespace)
            && self.name.as_ref().is_none_or(|name| *name == used.name)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}.{}", self.role, self.verb, self.resource, self.group)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " \"{name}\""))
    }
}

/// Every grant of the Roles and ClusterRoles among `objects`; other kinds are passed over.
pub(super) fn of_roles(objects: &[Value]) -> Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for object in objects {
        let name = name_of(object);
        let (namespace, rules) = match object.get("kind").and_then(Value::as_str) {
            Some("ClusterRole") => {
                let role: ClusterRole = serde_json::from_value(object.clone()).with_context(|| name.clone())?;
                (None, role.rules)
            }
            Some("Role") => {
                let role: Role = serde_json::from_value(object.clone()).with_context(|| name.clone())?;
                (Some(role.metadata.namespace.with_context(|| format!("{name} has no namespace"))?), role.rules)
            }
            _ => continue,
        };
        for rule in rules.into_iter().flatten() {
            grants.extend(of_rule(&name, namespace.as_deref(), &rule));
        }
    }
    Ok(grants)
}

fn of_rule(role: &str, namespace: Option<&str>, rule: &PolicyRule) -> Vec<Grant> {
    let list = |field: &Option<Vec<String>>| field.clone().unwrap_or_default();
    let mut targets: Vec<(String, String)> = Vec::new();
    for group in list(&rule.api_groups) {
        targets.extend(list(&rule.resources).into_iter().map(|resource| (group.clone(), resource)));
    }
    targets.extend(list(&rule.non_resource_urls).into_iter().map(|url| (String::new(), url)));
    let names = list(&rule.resource_names);
    let names: Vec<_> = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
    let mut grants = Vec::new();
    for (group, resource) in targets {
        for verb in &rule.verbs {
            grants.extend(names.iter().map(|name| Grant {
                role: role.to_owned(),
                namespace: namespace.map(str::to_owned),
                group: group.clone(),
                resource: resource.clone(),
                verb: verb.clone(),
                name: name.clone(),
            }));
        }
    }
    grants
}
