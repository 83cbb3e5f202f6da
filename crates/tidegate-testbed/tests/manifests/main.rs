//! What `deploy/` ships, applied to a real API server, and used with exactly the rights that it gives.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod follow;

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tidegate_controller::access::rights;
use tidegate_core::finalizer::FINALIZER as OURS;
use tidegate_testbed::cluster::client_of;
use tidegate_testbed::cluster::service_account::user_of;
use tidegate_testbed::manifests::{self, name_of};
use tidegate_testbed::servers::ensure_helm;
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

/// `tidegate doctor` asks for exactly what is granted.
#[test]
fn the_doctor_asks_for_every_right_that_is_granted_and_no_other() {
    let granted: BTreeSet<Vec<String>> = plain()
        .iter()
        .filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")))
        .flat_map(|role| {
            let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            let list = |value: &Value| -> Vec<String> {
                value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
            };
            let rules = role["rules"].as_array().unwrap().clone();
            rules.into_iter().flat_map(move |rule| {
                let (group, resource) = (list(&rule["apiGroups"]).remove(0), list(&rule["resources"]).remove(0));
                let (name, namespace) = (list(&rule["resourceNames"]).join(""), namespace.clone());
                list(&rule["verbs"])
                    .into_iter()
                    .map(move |verb| vec![verb, group.clone(), resource.clone(), namespace.clone(), name.clone()])
            })
        })
        .collect();
    let asked: BTreeSet<Vec<String>> = rights(Some("tidegate"), &[])
        .into_iter()
        .map(|right| {
            let texts = [right.verb, right.group, right.resource];
            let places = [right.namespace.unwrap_or_default(), right.name.unwrap_or_default()];
            texts.into_iter().chain(places).map(str::to_owned).collect()
        })
        .collect();
    assert_eq!(asked, granted);
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
    let one = WatchParams::default().fields("metadata.name=tidegate-pod").timeout(1);
    let watch = leases.watch(&one, "0").await.unwrap();
    std::pin::pin!(watch).try_next().await.unwrap();
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
    assert_eq!((before.unused.len(), before.missing.len()), (13, 0), "{before}");
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

/// Runs helm in `deploy/helm`, with nothing of whoever runs the tests: no plugin, no cache, no cluster.
async fn helm(args: Vec<String>) -> std::process::Output {
    let run = move || {
        let home = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new(ensure_helm().unwrap());
        command.current_dir(manifests::deploy_folder().join("helm")).args(args).env_remove("KUBECONFIG");
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, home.path());
        }
        command.output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// `helm template` for the version of Kubernetes that the tests start.
async fn template(release: &str, namespace: &str, values: &[&str]) -> std::process::Output {
    let mut args = vec!["template", release, "tidegate", "--namespace", namespace, "--kube-version", "1.36.0"];
    args.extend(values.iter().flat_map(|value| ["--set", *value]));
    helm(args.into_iter().map(str::to_owned).collect()).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn rendered(release: &str, namespace: &str, values: &[&str]) -> Vec<Value> {
    let output = template(release, namespace, values).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    manifests::parse(&text(&output.stdout)).unwrap()
}

/// Without what only a chart has, and with the configuration as values instead of text.
fn comparable(mut object: Value) -> Value {
    let labels = object["metadata"]["labels"].as_object_mut().unwrap();
    labels.retain(|key, _| {
        !["helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"].contains(&key.as_str())
    });
    if let Some(pod) = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut) {
        let annotations = pod.remove("annotations").unwrap_or_default();
        assert!(annotations.as_object().is_none_or(|map| map.keys().all(|key| key == "checksum/config")));
    }
    if let Some(Value::String(config)) = object.pointer("/data/tidegate.yaml") {
        object["data"]["tidegate.yaml"] = manifests::parse(config).unwrap().remove(0);
    }
    object
}

#[tokio::test]
async fn the_chart_renders_the_plain_manifests_except_what_it_leaves_to_the_user() {
    let sorted = |objects: Vec<Value>| -> BTreeMap<String, Value> {
        objects.into_iter().map(|object| (name_of(&object), comparable(object))).collect()
    };
    let mut plain = sorted(plain());
    // Helm makes the namespace itself, and secrets do not belong into values.
    plain.retain(|_, object| object["kind"] != "Namespace" && object["kind"] != "Secret");
    let chart = sorted(rendered("tidegate", "tidegate", &[]).await);
    assert_eq!(chart.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>());
    for (name, object) in &plain {
        assert_eq!(chart[name], *object, "{name}");
    }
    assert_eq!(chart.len(), 11);
}

#[tokio::test]
async fn the_chart_under_another_name_and_with_every_value_is_accepted_too() {
    let client = cluster().await.client().await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge", "labels": {
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}});
    let mut objects = vec![namespace];
    let values = [
        "replicas=3",
        "image.tag=1.2.3",
        "image.pullSecrets={registry}",
        "api.port=9000",
        "priorityClassName=system-cluster-critical",
        "extraArgs={--log-format,json}",
        "extraEnv[0].name=RUST_LOG,extraEnv[0].value=debug",
        "podLabels.team=edge",
        "podAnnotations.owner=edge",
        "nodeSelector.disk=ssd",
        "tolerations[0].key=edge,tolerations[0].operator=Exists",
        "serviceAccount.annotations.owner=edge",
    ];
    objects.extend(rendered("lb", "edge", &values).await);
    apply(&client, &objects).await;
    let pod = pod_of(&objects, "Deployment edge/lb-tidegate", "as-rendered");
    let shown = serde_json::to_value(&pod).unwrap();
    let container = &shown["spec"]["containers"][0];
    assert_eq!(container["image"], "ghcr.io/tidegate/tidegate:1.2.3");
    assert_eq!(container["args"], json!(["controller", "-c", "/etc/tidegate/tidegate.yaml", "--log-format", "json"]));
    assert_eq!(container["env"][1], json!({"name": "RUST_LOG", "value": "debug"}));
    assert_eq!(container["ports"][0]["containerPort"], 9000);
    let config = one(&objects, "ConfigMap edge/lb-tidegate")["data"]["tidegate.yaml"].as_str().unwrap();
    let config = manifests::parse(config).unwrap().remove(0);
    assert_eq!(config["api"]["listen"], "0.0.0.0:9000");
    let election = json!({"enabled": true, "namespace": "edge", "lease": "lb-tidegate"});
    assert_eq!(config["leaderElection"], election);
    Api::<Pod>::namespaced(client, "edge").create(&PostParams::default(), &pod).await.unwrap();
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_by_name() {
    for (value, says) in [
        ("replicas=0", "replicas"),
        ("replica=3", "replica"),
        ("config.api.listen=0.0.0.0:1", "api"),
        ("config.leaderElection.lease=mine", "lease"),
        ("config.loadBalancers=null", "loadBalancers"),
        ("mongodb.existingSecret=", "existingSecret"),
        ("api.port=80", "port"),
    ] {
        let output = template("tidegate", "tidegate", &[value]).await;
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{value}: {said}");
    }
}

#[tokio::test]
async fn helm_lints_installs_upgrades_and_uninstalls_it() {
    let lint = helm(["lint", "--strict", "tidegate", "--kube-version", "1.36.0"].map(str::to_owned).into()).await;
    assert!(lint.status.success(), "{}", text(&lint.stdout));

    let client = cluster().await.client().await.unwrap();
    let kubeconfig = cluster().await.kubeconfig().display().to_string();
    let order = |line: &str| -> Vec<String> {
        line.split(' ').map(str::to_owned).chain(["--kubeconfig".to_owned(), kubeconfig.clone()]).collect()
    };
    let installed = helm(order("install charted-tidegate tidegate -n charted --create-namespace")).await;
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    assert_eq!(text(&installed.stderr), "", "warnings");
    let notes = text(&installed.stdout);
    assert!(notes.contains("2 controllers for cluster \"prod\" in namespace charted"), "{notes}");
    assert!(notes.contains("lb-1") && notes.contains("deploy/charted-tidegate"), "{notes}");

    let upgraded =
        helm(order("upgrade charted-tidegate tidegate -n charted --set replicas=3 --set config.cluster.name=b")).await;
    assert!(upgraded.status.success(), "{}", text(&upgraded.stderr));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "charted");
    let spec = deployments.get("charted-tidegate").await.unwrap().spec.unwrap();
    assert_eq!(spec.replicas, Some(3));
    let checksum = spec.template.metadata.unwrap().annotations.unwrap()["checksum/config"].clone();
    let before = rendered("charted-tidegate", "charted", &[]).await;
    let before = one(&before, "Deployment charted/charted-tidegate");
    // A new configuration makes new pods.
    assert_ne!(before["spec"]["template"]["metadata"]["annotations"]["checksum/config"], json!(checksum));

    let gone = helm(order("uninstall charted-tidegate -n charted")).await;
    assert!(gone.status.success(), "{}", text(&gone.stderr));
    assert!(deployments.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(Api::<ClusterRole>::all(client).get_opt("charted-tidegate").await.unwrap().is_none());
}

/// The patches of the commands `kubectl patch node NAME` in docs/kubernetes.md: merge-by-key first, then JSON.
fn documented_patches() -> Vec<Value> {
    let docs = std::fs::read_to_string(manifests::deploy_folder().join("../docs/kubernetes.md")).unwrap();
    let commands = docs.lines().filter(|line| line.starts_with("kubectl patch node NAME "));
    commands.map(|line| serde_json::from_str(line.split('\'').nth(1).unwrap()).unwrap()).collect()
}

/// A Node with these finalizers whose deletion waits for them.
async fn deleting(nodes: &Api<Node>, name: &str, finalizers: &[&str]) {
    let node = json!({"metadata": {"name": name, "finalizers": finalizers}});
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    let deleted = nodes.delete(name, &DeleteParams::default()).await.unwrap();
    assert!(deleted.left().unwrap().metadata.deletion_timestamp.is_some());
}

async fn finalizers(nodes: &Api<Node>, name: &str) -> Option<Vec<String>> {
    Some(nodes.get_opt(name).await.unwrap()?.metadata.finalizers.unwrap_or_default())
}

#[tokio::test]
async fn the_documented_command_frees_a_node_wherever_our_finalizer_stands() {
    let nodes: Api<Node> = Api::all(cluster().await.client().await.unwrap());
    let patch = Patch::Strategic(documented_patches()[0].clone());
    for (name, has, left) in [
        ("by-hand-only", vec![OURS], None),
        ("by-hand-first", vec![OURS, "example.com/b"], Some(vec!["example.com/b"])),
        ("by-hand-middle", vec!["example.com/a", OURS, "example.com/b"], Some(vec!["example.com/a", "example.com/b"])),
        ("by-hand-none", vec!["example.com/a"], Some(vec!["example.com/a"])),
    ] {
        deleting(&nodes, name, &has).await;
        nodes.patch(name, &PatchParams::default(), &patch).await.unwrap();
        let left = left.map(|list| list.into_iter().map(str::to_owned).collect());
        assert_eq!(finalizers(&nodes, name).await, left, "{name}");
    }
}

#[tokio::test]
async fn the_documented_json_patch_takes_off_ours_or_nothing() {
    let nodes: Api<Node> = Api::all(cluster().await.client().await.unwrap());
    let [_, text] = &documented_patches()[..] else { panic!("two commands") };
    let at = |index: usize| -> Patch<()> {
        let text = text.to_string().replace("/finalizers/0", &format!("/finalizers/{index}"));
        Patch::Json(serde_json::from_str(&text).unwrap())
    };
    deleting(&nodes, "by-index-only", &[OURS]).await;
    nodes.patch("by-index-only", &PatchParams::default(), &at(0)).await.unwrap();
    assert_eq!(finalizers(&nodes, "by-index-only").await, None);

    let both = ["example.com/a", OURS];
    deleting(&nodes, "by-index-second", &both).await;
    for wrong in [0, 2] {
        assert_eq!(code(nodes.patch("by-index-second", &PatchParams::default(), &at(wrong)).await), 422);
        assert_eq!(finalizers(&nodes, "by-index-second").await.unwrap(), both);
    }
    nodes.patch("by-index-second", &PatchParams::default(), &at(1)).await.unwrap();
    assert_eq!(finalizers(&nodes, "by-index-second").await.unwrap(), ["example.com/a"]);
}
