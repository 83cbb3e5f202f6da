//! The rights to read what listeners follow: as the chart grants them, and as the shipped file does.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tidegate_controller::access::{Right, rights};
use tidegate_core::carriage::Demand;
use tidegate_core::follow::{Follow, Target};
use tidegate_core::ids::ListenerName;
use tidegate_core::selector::Selector;
use tidegate_testbed::cluster::client_of;
use tidegate_testbed::manifests;

use crate::{apply, cluster, code, one, plain, rendered};

fn following(namespace: &str, target: Target) -> Demand {
    let (listener, namespace) = (ListenerName::parse("http").unwrap(), namespace.to_owned());
    Demand { listener, allow_empty: false, nodes: None, follow: Some(Follow { namespace, target }) }
}

/// What `demands` add to the rights, as `verb resource.group in namespace`.
fn rights_to_follow(demands: &[Demand]) -> BTreeSet<String> {
    let shown = |right: Right<'_>| {
        format!("{} {}.{} in {}", right.verb, right.resource, right.group, right.namespace.unwrap_or_default())
    };
    let base: BTreeSet<String> = rights(None, &[]).into_iter().map(shown).collect();
    rights(None, demands).into_iter().map(shown).filter(|right| !base.contains(right)).collect()
}

/// What a Role grants, in the same words.
fn grants(role: &Value) -> BTreeSet<String> {
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let namespace = role["metadata"]["namespace"].as_str().unwrap();
    let rules = role["rules"].as_array().unwrap().iter().flat_map(|rule| {
        let (group, resource) = (list(&rule["apiGroups"]).remove(0), list(&rule["resources"]).remove(0));
        list(&rule["verbs"]).into_iter().map(move |verb| format!("{verb} {resource}.{group} in {namespace}"))
    });
    rules.collect()
}

/// The chart grants exactly what each `follow` among its listeners needs, the shipped file what any may need.
#[tokio::test]
async fn what_listeners_follow_is_granted_in_its_namespace_and_nowhere_else() {
    let pods = following("ingress-nginx", Target::Pods(Selector::parse("app=x").unwrap()));
    let service = following("other", Target::Service("traefik".to_owned()));
    let values = [
        "config.listeners[0].name=http,config.listeners[0].bind=0.0.0.0:80,config.listeners[0].targetPort=80",
        "config.listeners[0].follow.namespace=ingress-nginx,config.listeners[0].follow.selector=app=x",
        "config.listeners[1].name=tls,config.listeners[1].bind=0.0.0.0:443,config.listeners[1].targetPort=443",
        "config.listeners[1].follow.namespace=other,config.listeners[1].follow.service=traefik",
    ];
    let chart = rendered("tidegate", "tidegate", &values).await;
    assert_eq!(
        grants(one(&chart, "Role ingress-nginx/tidegate-follow")),
        rights_to_follow(std::slice::from_ref(&pods))
    );
    assert_eq!(grants(one(&chart, "Role other/tidegate-follow")), rights_to_follow(std::slice::from_ref(&service)));
    let subjects = &one(&chart, "RoleBinding other/tidegate-follow")["subjects"];
    assert_eq!(*subjects, one(&chart, "RoleBinding tidegate/tidegate-leases")["subjects"]);

    let shipped = manifests::read_file(&manifests::deploy_folder().join("rbac-follow.yaml")).unwrap();
    let both = [pods, following("ingress-nginx", Target::Service("x".to_owned()))];
    assert_eq!(grants(one(&shipped, "Role ingress-nginx/tidegate-follow")), rights_to_follow(&both));
    let admin = cluster().await.client().await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ingress-nginx"}});
    apply(&admin, &[vec![namespace], plain(), shipped].concat()).await;
    let kubeconfig = cluster().await.service_account_kubeconfig("tidegate", "tidegate").await.unwrap();
    let client = client_of(&kubeconfig).await.unwrap();
    let pods = |namespace: &str| Api::<Pod>::namespaced(client.clone(), namespace);
    pods("ingress-nginx").list(&ListParams::default()).await.unwrap();
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), "ingress-nginx");
    slices.list(&ListParams::default()).await.unwrap();
    assert_eq!(code(pods("default").list(&ListParams::default()).await), 403);
    assert_eq!(code(pods("ingress-nginx").get("any").await), 403);
}
