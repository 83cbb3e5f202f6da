//! The Kubernetes objects that Tidegate ships: reading them, and applying them as `kubectl apply --server-side` does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::client::Body;
use kube::core::{GroupVersionKind, Request};
use kube::discovery::{self, Scope};
use serde_json::Value;

/// Who owns the fields that are applied.
const FIELD_MANAGER: &str = "tidegate-testbed";

/// The folder `deploy/` of this checkout.
pub fn deploy_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The text of the Dockerfile.
pub fn dockerfile() -> Result<String> {
    Ok(fs::read_to_string(deploy_folder().join("../Dockerfile"))?)
}

/// What the image sets for the program (`ENV` of the Dockerfile), in its order.
pub fn image_environment() -> Result<Vec<(String, String)>> {
    let text = dockerfile()?;
    let (_, rest) = text.split_once("\nENV ").context("the Dockerfile has no ENV")?;
    let one_line = rest.replace("\\\n", " ");
    let settings = one_line.lines().next().unwrap_or_default().split_whitespace();
    let read = |setting: &str| {
        let (name, value) = setting.split_once('=').with_context(|| format!("ENV: {setting:?}"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    settings.map(read).collect()
}

/// Every object of the YAML files in `folder`, in the order in which `kubectl apply -f folder` takes them.
pub fn read_folder(folder: &Path) -> Result<Vec<Value>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    ensure!(!files.is_empty(), "no YAML file in {}", folder.display());
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        objects.extend(read_file(&file)?);
    }
    Ok(objects)
}

/// Every object of one file.
pub fn read_file(file: &Path) -> Result<Vec<Value>> {
    parse(&fs::read_to_string(file)?).with_context(|| file.display().to_string())
}

/// Every object of a stream of YAML documents; empty documents are none.
pub fn parse(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// `Kind namespace/name`, for messages and as a key.
pub fn name_of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/metadata/namespace") {
        "" => format!("{} {}", text("/kind"), text("/metadata/name")),
        namespace => format!("{} {namespace}/{}", text("/kind"), text("/metadata/name")),
    }
}

/// Applies the objects one after the other and returns the server's warnings about them.
pub async fn apply(client: &Client, objects: &[Value]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for object in objects {
        let name = name_of(object);
        let said = apply_one(client, object).await.with_context(|| format!("applying {name}"))?;
        warnings.extend(said.into_iter().map(|warning| format!("{name}: {warning}")));
    }
    Ok(warnings)
}

async fn apply_one(client: &Client, value: &Value) -> Result<Vec<String>> {
    let object: DynamicObject = serde_json::from_value(value.clone())?;
    let types = object.types.clone().context("it has no apiVersion and kind")?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, capabilities) = discovery::pinned_kind(client, &kind).await?;
    let namespace = object.metadata.namespace.as_deref();
    ensure!(
        (capabilities.scope == Scope::Namespaced) == namespace.is_some(),
        "its metadata.namespace does not fit its scope"
    );
    let url = <DynamicObject as kube::Resource>::url_path(&resource, namespace);
    let name = object.metadata.name.as_deref().context("it has no name")?;
    let mut params = PatchParams::apply(FIELD_MANAGER);
    // An unknown field is an error, not one that the server drops.
    params.field_validation = Some(kube::api::ValidationDirective::Strict);
    let request = Request::new(url).patch(name, &params, &Patch::Apply(value))?;
    let response = client.send(request.map(Body::from)).await?;
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.map(|text| Ok(text.to_str()?.to_owned())).collect::<Result<_>>()?;
    let status = response.status();
    if !status.is_success() {
        let body = response.into_body().collect_bytes().await?;
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(warnings)
}
