//! The read model, as people and their tools find it.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, doc};
use tidegate_store::conformance::scenario::Scenario;
use tidegate_store::{NodeDocument, RepairKind, Store};

use super::support::{MongoDatabase, cluster};

async fn prepare() -> (MongoDatabase, Vec<NodeDocument>) {
    let database = MongoDatabase::new();
    let store = database.store();
    let mut scenario = Scenario::new(1);
    scenario.commit(&store, 40).await.unwrap();
    let documents = NodeDocument::all(&cluster(), &scenario.state().membership);
    assert!(documents.len() > 3);
    store.repair_nodes(&documents).await.unwrap();
    (database, documents)
}

#[tokio::test]
async fn a_document_has_the_shape_of_the_article() {
    let (database, documents) = prepare().await;
    let first = &documents[0];
    let id = ObjectId::parse_str(first.id.as_str()).unwrap();
    let found = database.collection("nodes").await.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    assert_eq!(found.get("_id"), Some(&Bson::ObjectId(id)));
    assert_eq!(found.get_str("ip").unwrap(), first.ip.to_string());
    assert_eq!(found.get_str("hostname").unwrap(), first.hostname);
    let names: Vec<_> = found.keys().take(3).map(String::as_str).collect();
    assert_eq!(names, ["_id", "ip", "hostname"]);
}

#[tokio::test]
async fn what_somebody_edited_deleted_or_added_is_put_right_and_told() {
    use RepairKind::{Altered, Foreign, Missing};
    let (database, documents) = prepare().await;
    let nodes = database.collection("nodes").await;
    let id = |n: usize| ObjectId::parse_str(documents[n].id.as_str()).unwrap();
    nodes.update_one(doc! { "_id": id(0) }, doc! { "$set": { "ip": 7 } }).await.unwrap();
    nodes.delete_one(doc! { "_id": id(1) }).await.unwrap();
    nodes.update_one(doc! { "_id": id(2) }, doc! { "$unset": { "cluster": "" } }).await.unwrap();
    nodes.insert_one(doc! { "_id": "by hand", "ip": "10.9.9.9", "hostname": "h", "cluster": "prod" }).await.unwrap();
    nodes.insert_one(doc! { "ip": "10.9.9.8", "hostname": "h" }).await.unwrap();
    nodes.insert_one(doc! { "ip": "10.9.9.7", "hostname": "h", "cluster": "other" }).await.unwrap();

    let repairs = database.store().repair_nodes(&documents).await.unwrap();
    let kinds: Vec<_> = repairs.iter().map(|repair| repair.kind).collect();
    assert_eq!(kinds, [Altered, Missing, Altered, Foreign, Foreign], "{repairs:?}");
    assert!(repairs[0].to_string().contains(documents[0].node.as_str()), "{}", repairs[0]);
    assert_eq!(database.store().repair_nodes(&documents).await.unwrap(), []);
    let left = nodes.count_documents(doc! {}).await.unwrap();
    assert_eq!(left, documents.len() as u64 + 1, "another cluster's document stays");
}
