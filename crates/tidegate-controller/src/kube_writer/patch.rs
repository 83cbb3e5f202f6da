//! The JSON patch that puts our finalizer on a Node or takes it off: it applies to that very Node only, and to that very
//! element of the list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use tidegate_core::finalizer::FINALIZER;
use tidegate_core::ids::NodeUid;

/// What is to become of our finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Add,
    Remove,
}

/// The patch for a Node as it was read; none when there is nothing to do.
pub(super) fn edit(found: &ObjectMeta, uid: &NodeUid, wanted: Edit) -> Option<Value> {
    if found.uid.as_deref() != Some(uid.as_str()) {
        return None;
    }
    let finalizers = found.finalizers.as_deref().unwrap_or_default();
    let ours = finalizers.iter().position(|name| name == FINALIZER);
    let same_node = json!({"op": "test", "path": "/metadata/uid", "value": uid.as_str()});
    match (wanted, ours) {
        (Edit::Remove, Some(index)) => {
            let path = format!("/metadata/finalizers/{index}");
            // Between reading and writing somebody may have taken another one off, and ours has moved.
            let same_element = json!({"op": "test", "path": path, "value": FINALIZER});
            Some(json!([same_node, same_element, {"op": "remove", "path": path}]))
        }
        // The API server refuses a new finalizer on what is being deleted.
        (Edit::Add, None) if found.deletion_timestamp.is_none() => {
            let list = "/metadata/finalizers";
            let add = if finalizers.is_empty() {
                // Absent: a test for null holds then, and fails as soon as somebody else has made the list.
                vec![
                    json!({"op": "test", "path": list, "value": null}),
                    json!({"op": "add", "path": list, "value": [FINALIZER]}),
                ]
            } else {
                vec![json!({"op": "add", "path": format!("{list}/-"), "value": FINALIZER})]
            };
            Some(std::iter::once(same_node).chain(add).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(finalizers: &[&str]) -> ObjectMeta {
        let finalizers = (!finalizers.is_empty()).then(|| finalizers.iter().map(ToString::to_string).collect());
        ObjectMeta { uid: Some("u1".into()), finalizers, ..ObjectMeta::default() }
    }

    fn patch(finalizers: &[&str], wanted: Edit) -> Option<Value> {
        edit(&meta(finalizers), &NodeUid::parse("u1").unwrap(), wanted)
    }

    #[test]
    fn ours_is_taken_off_where_it_stands_and_nothing_else() {
        let operations = patch(&["a/b", FINALIZER, "c/d"], Edit::Remove).unwrap();
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/metadata/finalizers/1", "value": FINALIZER},
            {"op": "remove", "path": "/metadata/finalizers/1"},
        ]);
        assert_eq!(operations, expected);
        assert_eq!(patch(&["a/b"], Edit::Remove), None);
    }

    #[test]
    fn ours_is_put_last_and_a_list_is_made_only_where_there_is_none() {
        let operations = patch(&["a/b"], Edit::Add).unwrap();
        assert_eq!(operations[1], json!({"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}));
        let operations = patch(&[], Edit::Add).unwrap();
        assert_eq!(operations[1], json!({"op": "test", "path": "/metadata/finalizers", "value": null}));
        assert_eq!(operations[2]["value"], json!([FINALIZER]));
        assert_eq!(patch(&["a/b", FINALIZER], Edit::Add), None);
    }

    #[test]
    fn another_node_of_that_name_and_one_that_is_being_deleted_are_left_alone() {
        let other = NodeUid::parse("u2").unwrap();
        assert_eq!(edit(&meta(&[FINALIZER]), &other, Edit::Remove), None);
        assert_eq!(edit(&meta(&[]), &other, Edit::Add), None);
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-11-24T12:00:00Z".parse().unwrap());
        let deleting = ObjectMeta { deletion_timestamp: Some(time), ..meta(&[]) };
        assert_eq!(edit(&deleting, &NodeUid::parse("u1").unwrap(), Edit::Add), None);
    }
}
