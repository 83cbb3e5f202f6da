//! What a listener asks of the nodes that carry it.

use tidegate_core::carriage::Demand;
use tidegate_core::follow::{Follow, Target};

use super::super::raw::RawListener;
use super::super::validate::{Validator, value_or};

/// What it asks; none when every node will do.
pub fn read_demand(raw: &RawListener) -> Option<Demand> {
    let nodes = raw.nodes.as_ref().map(|selector| selector.value.0.clone());
    let follow = read_follow(raw);
    if nodes.is_none() && follow.is_none() {
        return None;
    }
    let listener = raw.name.as_ref()?.value.0.clone();
    Some(Demand { listener, allow_empty: value_or(raw.allow_empty.as_ref(), false), nodes, follow })
}

fn read_follow(raw: &RawListener) -> Option<Follow> {
    let follow = raw.follow.as_ref()?;
    let namespace = follow.namespace.as_ref()?.value.0.0.clone();
    let pods = follow.selector.as_ref().map(|selector| Target::Pods(selector.value.0.clone()));
    let service = || follow.service.as_ref().map(|name| Target::Service(name.value.0.0.clone()));
    Some(Follow { namespace, target: pods.or_else(service)? })
}

/// Reports what is wrong with it.
pub fn check_follow(validator: &mut Validator<'_>, raw: &RawListener) {
    let Some(follow) = &raw.follow else { return };
    match (&follow.selector, &follow.service) {
        (Some(_), Some(service)) => {
            let message = "selector and service are both there; one of them says where the ingress runs";
            validator.problems.error(&service.spot, message, "remove one of the two");
        }
        (None, None) if !validator.problems.mentions(&follow.spot.path) => {
            let cure =
                "add `selector: app.kubernetes.io/name=ingress-nginx` (its pods), or `service: NAME` (its endpoints)";
            validator.problems.error(&follow.spot, "does not say what to follow", cure);
        }
        _ => {}
    }
}
