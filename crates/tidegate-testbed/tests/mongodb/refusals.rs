//! What FerretDB cannot refuse: a server that speaks just enough of the protocol to answer everything with one error.

use mongodb::bson::{Document, deserialize_from_slice, doc, serialize_to_vec};
use tidegate_core::class::ErrorClass;
use tidegate_store::{MongoStore, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{cluster, settings};

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

/// Greets like a MongoDB and fails every command that is not a greeting. Answers its address.
async fn failing_server(failure: Document) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, failure.clone()));
        }
    });
    address
}

/// Until the client has had enough.
async fn serve(mut client: TcpStream, failure: Document) -> std::io::Result<()> {
    loop {
        let length = client.read_i32_le().await?;
        let mut message = vec![0; usize::try_from(length).unwrap() - 4];
        client.read_exact(&mut message).await?;
        let number = |at: usize| i32::from_le_bytes(message[at..at + 4].try_into().unwrap());
        let (request, opcode) = (number(0), number(8));
        let answer = match opcode {
            OP_QUERY => serialize_to_vec(&greeting()).unwrap(),
            _ => serialize_to_vec(&answer_to(&message[17..], &failure)).unwrap(),
        };
        let (opcode, head) = if opcode == OP_QUERY {
            let numbers = [0_i32, 0, 0, 0, 1];
            (OP_REPLY, numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
        } else {
            (OP_MSG, vec![0; 5])
        };
        let length = i32::try_from(16 + head.len() + answer.len()).unwrap();
        let header = [length, 1, request, opcode].iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        client.write_all(&[header, head, answer].concat()).await?;
    }
}

fn answer_to(section: &[u8], failure: &Document) -> Document {
    let length = usize::try_from(i32::from_le_bytes(section[..4].try_into().unwrap())).unwrap();
    let command: Document = deserialize_from_slice(&section[..length]).unwrap();
    let name = command.keys().next().unwrap().to_lowercase();
    if name == "hello" || name == "ismaster" { greeting() } else { failure.clone() }
}

fn greeting() -> Document {
    doc! {
        "ok": 1.0, "ismaster": true, "isWritablePrimary": true, "minWireVersion": 0, "maxWireVersion": 21,
        "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
    }
}

async fn failed_with(code: i32, user: &str) -> StoreError {
    let failure = doc! { "ok": 0.0, "code": code, "errmsg": format!("failure {code}"), "codeName": "Failure" };
    let uri = format!("mongodb://{user}{}/", failing_server(failure).await);
    MongoStore::connect(settings(&uri, "tidegate", &cluster())).unwrap().load().await.unwrap_err()
}

fn assert_for_people(error: &StoreError, class: ErrorClass, what: &str) {
    let text = format!("{error} {error:?}");
    assert_eq!(error.class(), class, "{text}");
    assert!(text.contains(what) && text.contains("cure: ") && text.contains("/etc/tidegate/mongodb.uri"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn wrong_credentials_are_named_without_showing_them() {
    let error = failed_with(18, "tg:s3cret@").await;
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    assert_for_people(&error, ErrorClass::Permanent, "does not accept the user and password");
}

#[tokio::test]
async fn missing_rights_are_named_with_the_role_that_is_needed() {
    assert_for_people(&failed_with(13, "").await, ErrorClass::Permanent, "readWrite");
}

#[tokio::test]
async fn a_server_that_is_not_the_primary_will_pass() {
    for code in [10107, 13435, 11602, 189, 91, 11600, 13436] {
        assert_for_people(&failed_with(code, "").await, ErrorClass::Transient, "takes no writes at the moment");
    }
}
