//! What `deploy/` ships, applied to a real API server, and used with exactly the rights that it gives.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tidegate_testbed::cluster::client_of;
use tidegate_testbed::cluster::service_account::user_of;
use tidegate_testbed::manifests::{self, name_of};
use tidegate_testbed::{Cluster, ClusterOptions};
use tokio::sync::OnceCell;

/// One cluster for this binary, with an audit log.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let options = ClusterOptions { audit: true, ..ClusterOptions::default() };
    CLUSTER.get_or_init(|| async { Cluster::start(options).await.unwrap() }).await
}

fn plain() -> Vec<Value> {
    manifests::read_folder(&manifests::deploy_folder().join("kubernetes")).unwrap()
}

fn one<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    objects.iter().find(|object| name_of(object) == name).unwrap_or_else(|| panic!("no {name}"))
}

/// A pod as the Deployment among `objects` would make it.
fn pod_of(objects: &[Value], deployment: &str, name: &str) -> Pod {
    let mut pod = one(objects, deployment).pointer("/spec/template").unwrap().clone();
    pod["metadata"]["name"] = json!(name);
    serde_json::from_value(pod).unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> u16 {
    match result.unwrap_err() {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

/// Applies twice: an upgrade is another `kubectl apply`.
async fn apply(client: &Client, objects: &[Value]) {
    for _ in 0..2 {
        assert_eq!(manifests::apply(client, objects).await.unwrap(), Vec::<String>::new(), "warnings");
    }
}

#[tokio::test]
async fn the_plain_manifests_apply_without_a_warning_and_their_pod_is_admitted() {
    let client = cluster().await.client().await.unwrap();
    apply(&client, &plain()).await;
    let pods: Api<Pod> = Api::namespaced(client, "tidegate");
    let pod = pod_of(&plain(), "Deployment tidegate/tidegate", "as-shipped");
    pods.create(&PostParams::default(), &pod).await.unwrap();

    // The namespace does enforce: the same pod with one right more is refused.
    let mut greedy = pod_of(&plain(), "Deployment tidegate/tidegate", "greedy");
    let container = &mut greedy.spec.as_mut().unwrap().containers[0];
    container.security_context.as_mut().unwrap().allow_privilege_escalation = Some(true);
    assert_eq!(code(pods.create(&PostParams::default(), &greedy).await), 403);
}

#[tokio::test]
async fn a_warning_and_an_unknown_field_do_not_go_unnoticed() {
    let client = cluster().await.client().await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "careless",
        "labels": {"pod-security.kubernetes.io/warn": "restricted"}}});
    let mut deployment = one(&plain(), "Deployment tidegate/tidegate").clone();
    deployment["metadata"]["namespace"] = json!("careless");
    deployment["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    let warnings = manifests::apply(&client, &[namespace, deployment.clone()]).await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("hostNetwork")), "{warnings:?}");

    deployment["spec"]["template"]["spec"]["hostNetwrok"] = json!(true);
    let error = manifests::apply(&client, &[deployment]).await.unwrap_err();
    assert!(format!("{error:#}").contains("hostNetwrok"), "{error:#}");
}

#[test]
fn the_user_outside_the_cluster_has_the_same_rights_as_the_service_account() {
    let rules = |objects: &[Value]| -> Vec<Value> {
        let roles = objects.iter().filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")));
        roles.map(|role| json!([role["kind"], role["metadata"]["namespace"], role["rules"]])).collect()
    };
    let outside = manifests::read_file(&manifests::deploy_folder().join("rbac.yaml")).unwrap();
    assert_eq!(rules(&outside).len(), 3);
    assert_eq!(rules(&outside), rules(&plain()));
    // Both may be applied to one cluster: neither replaces a binding of the other.
    let names = |objects: &[Value]| -> BTreeSet<String> { objects.iter().map(name_of).collect() };
    let both: Vec<_> = names(&outside).intersection(&names(&plain())).cloned().collect();
    assert_eq!(both, ["Namespace tidegate"]);
}

#[test]
fn the_files_that_the_configuration_names_are_in_the_volume_and_the_ports_agree() {
    let objects = plain();
    let config = one(&objects, "ConfigMap tidegate/tidegate")["data"]["tidegate.yaml"].as_str().unwrap();
    let config = &manifests::parse(config).unwrap()[0];
    let pod = one(&objects, "Deployment tidegate/tidegate").pointer("/spec/template/spec").unwrap();
    let container = &pod["containers"][0];

    let sources = pod.pointer("/volumes/0/projected/sources").unwrap().as_array().unwrap();
    let mut files = BTreeSet::new();
    for source in sources {
        let (kind, name) = match (&source["configMap"]["name"], &source["secret"]["name"]) {
            (Value::String(name), _) => ("ConfigMap", name),
            (_, Value::String(name)) => ("Secret", name),
            _ => panic!("{source}"),
        };
        let object = one(&objects, &format!("{kind} tidegate/{name}"));
        let keys = ["data", "stringData"].iter().filter_map(|field| object[*field].as_object());
        files.extend(keys.flat_map(|map| map.keys()).map(|key| format!("/etc/tidegate/{key}")));
    }
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/etc/tidegate");
    let argument = container["args"][2].as_str().unwrap().to_owned();
    let named: BTreeSet<String> = files_of(config).into_iter().chain([argument]).collect();
    assert_eq!(named, files);

    assert_eq!(config["api"]["listen"], format!("0.0.0.0:{}", container["ports"][0]["containerPort"]));
    assert_eq!(
        config["leaderElection"]["namespace"],
        one(&objects, "Role tidegate/tidegate-leases")["metadata"]["namespace"]
    );
    let labels = pod_of(&objects, "Deployment tidegate/tidegate", "x").metadata.labels.unwrap();
    for selector in [
        one(&objects, "Service tidegate/tidegate").pointer("/spec/selector"),
        one(&objects, "PodDisruptionBudget tidegate/tidegate").pointer("/spec/selector/matchLabels"),
        one(&objects, "Deployment tidegate/tidegate").pointer("/spec/selector/matchLabels"),
    ] {
        assert_eq!(*selector.unwrap(), json!(labels));
    }
}

/// The value of every key that ends in `File`.
fn files_of(config: &Value) -> Vec<String> {
    match config {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(file) if key.ends_with("File") => vec![file.clone()],
                other => files_of(other),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(files_of).collect(),
        _ => Vec::new(),
    }
}

/// Everything that a controller may do, done once by hand.
async fn use_every_right(client: &Client) {
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.get("worked-on").await.unwrap();
    nodes.list(&ListParams::default()).await.unwrap();
    let watch = nodes.watch(&WatchParams::default().timeout(1), "0").await.unwrap();
    std::pin::pin!(watch).try_next().await.unwrap();
    let label = json!({"metadata": {"labels": {"seen": "yes"}}});
    nodes.patch("worked-on", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    Api::<Namespace>::all(client.clone()).get("kube-system").await.unwrap();

    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client.clone(), "default");
    let event = json!({"metadata": {"name": "worked-on.1"}, "eventTime": "2026-11-24T15:00:00.000000Z", "type": "Normal",
        "reason": "Active", "action": "Add", "reportingController": "tidegate", "reportingInstance": "a",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": "worked-on", "uid": "1"}});
    events.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-11-24T15:00:01.000000Z"}});
    events.patch("worked-on.1", &PatchParams::default(), &Patch::Merge(series)).await.unwrap();

    let leases: Api<Lease> = Api::namespaced(client.clone(), "tidegate");
    let metadata = ObjectMeta { name: Some("tidegate-pod".to_owned()), ..ObjectMeta::default() };
    leases.create(&PostParams::default(), &Lease { metadata, spec: None }).await.unwrap();
    let lease = leases.get("tidegate-pod").await.unwrap();
    leases.replace("tidegate-pod", &PostParams::default(), &lease).await.unwrap();
    leases.list(&ListParams::default().labels("tidegate.io/replica-of=tidegate")).await.unwrap();
    leases.delete("tidegate-pod", &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn the_service_account_can_do_all_that_a_controller_does_and_the_audit_finds_the_rest() {
    // Its own cluster: the other tests of this file would use the same ServiceAccount.
    let options = ClusterOptions { audit: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap();
    let admin = cluster.client().await.unwrap();
    apply(&admin, &plain()).await;
    let metadata = ObjectMeta { name: Some("worked-on".to_owned()), ..ObjectMeta::default() };
    let node = Node { metadata, ..Node::default() };
    Api::<Node>::all(admin).create(&PostParams::default(), &node).await.unwrap();
    let kubeconfig = cluster.service_account_kubeconfig("tidegate", "tidegate").await.unwrap();
    let client = client_of(&kubeconfig).await.unwrap();
    let user = user_of("tidegate", "tidegate");

    // Nothing was done yet: every grant is unused.
    let before = cluster.audit().compare_with_roles(&user, &plain()).unwrap();
    assert_eq!((before.unused.len(), before.missing.len()), (12, 0), "{before}");
    use_every_right(&client).await;
    let exact = cluster.audit().compare_with_roles(&user, &plain()).unwrap();
    assert!(exact.is_exact(), "{exact}");

    // A grant that nobody uses, in each way of writing one down.
    let mut wider = plain();
    let role = wider.iter_mut().find(|object| name_of(object) == "ClusterRole tidegate").unwrap();
    role["rules"][0]["verbs"].as_array_mut().unwrap().push(json!("delete"));
    role["rules"][0]["resources"].as_array_mut().unwrap().push(json!("nodes/status"));
    role["rules"][1]["resourceNames"].as_array_mut().unwrap().push(json!("default"));
    let unused = cluster.audit().compare_with_roles(&user, &wider).unwrap();
    let shown: BTreeSet<String> = unused.unused.iter().map(ToString::to_string).collect();
    let of_status = ["delete", "get", "list", "patch", "watch"].map(|verb| format!("{verb} nodes/status."));
    let more = ["delete nodes.".to_owned(), "get namespaces. \"default\"".to_owned()];
    let expected = of_status.iter().chain(&more).map(|grant| format!("ClusterRole tidegate: {grant}")).collect();
    assert_eq!(shown, expected);
    assert!(unused.missing.is_empty());

    // Calls beyond the Roles: another verb, another name, another namespace, another subresource.
    let nodes: Api<Node> = Api::all(client.clone());
    assert_eq!(code(nodes.delete("worked-on", &DeleteParams::default()).await), 403);
    assert_eq!(code(nodes.get_status("worked-on").await), 403);
    assert_eq!(code(Api::<Namespace>::all(client.clone()).get("default").await), 403);
    assert_eq!(code(Api::<Lease>::namespaced(client.clone(), "default").get("tidegate").await), 403);
    let refused = cluster.audit().compare_with_roles(&user, &plain()).unwrap();
    let shown: BTreeSet<String> = refused.missing.iter().map(ToString::to_string).collect();
    let expected = [
        "delete nodes. \"worked-on\" in \"\"",
        "get nodes/status. \"worked-on\" in \"\"",
        "get namespaces. \"default\" in \"default\"",
        "get leases.coordination.k8s.io \"tidegate\" in \"default\"",
    ];
    assert_eq!(shown, expected.map(str::to_owned).into());
    assert!(refused.unused.is_empty() && !refused.is_exact());

    // What somebody else does is nobody's use.
    assert!(cluster.audit().used("nobody").unwrap().is_empty());
}
