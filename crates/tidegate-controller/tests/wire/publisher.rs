//! Signed messages, refusals, and everything that can stand at the other end instead of an agent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tidegate_controller::{HttpPublisher, HttpPublisherSettings, PublishError, Publisher};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::ids::{ClusterName, LoadBalancerName};
use tidegate_core::membership::Membership;
use tidegate_core::position::{Position, Revision, Term};
use tidegate_core::protocol::{
    AgentStatus, ApplyReport, DESIRED_STATE_PATH, EngineHealth, Live, Outcome, Refusal, STATUS_PATH,
};
use tidegate_core::webhook::{ID_HEADER, SIGNATURE_HEADER, Secret, SignedHeaders, TIMESTAMP_HEADER, verify};
use tokio::net::TcpListener;

use crate::world::listener;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

pub fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

pub fn state() -> DesiredState {
    let position = Position { term: Term(2), revision: Revision(7) };
    DesiredState::derive(ClusterName::parse("test").unwrap(), position, &Membership::default(), &[listener()])
}

pub fn publisher_settings(url: String) -> HttpPublisherSettings {
    HttpPublisherSettings {
        name: LoadBalancerName::parse("lb-1").unwrap(),
        url,
        secrets: vec![secret(SECRET)],
        ca_file: None,
        client_cert_file: None,
        client_key_file: None,
        timeout: Duration::from_secs(10),
    }
}

/// What a small agent remembers.
#[derive(Clone, Default)]
pub struct Received {
    ids: Arc<Mutex<Vec<String>>>,
}

/// Verifies as an agent does; refuses what is older than (1, 1).
pub fn small_agent(received: Received) -> Router {
    Router::new().route(DESIRED_STATE_PATH, post(take)).route(STATUS_PATH, get(tell)).with_state(received)
}

fn check(received: &Received, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let of = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let signed = SignedHeaders { id: of(ID_HEADER), timestamp: of(TIMESTAMP_HEADER), signature: of(SIGNATURE_HEADER) };
    received.ids.lock().unwrap().push(signed.id.clone());
    verify(&[secret(SECRET)], &signed, Timestamp::now(), body)
}

fn refuse(refusal: Refusal) -> Response {
    (StatusCode::from_u16(refusal.status()).unwrap(), axum::Json(refusal)).into_response()
}

async fn take(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = check(&received, &headers, &body) {
        return refuse(refused);
    }
    let state: DesiredState = serde_json::from_slice(&body).unwrap();
    let current = Position { term: Term(1), revision: Revision(1) };
    if state.position < current {
        return refuse(Refusal::OlderPosition { offered: state.position, current });
    }
    assert_eq!(state.hash, state.content_hash());
    let live = Some(Live { position: state.position, hash: state.hash });
    axum::Json(ApplyReport { outcome: Outcome::Applied, live, timings: Vec::new() }).into_response()
}

async fn tell(State(received): State<Received>, headers: HeaderMap) -> Response {
    if let Err(refused) = check(&received, &headers, b"") {
        return refuse(refused);
    }
    let status = AgentStatus {
        version: "0".into(),
        engine: "nginx".into(),
        engine_version: None,
        health: EngineHealth::Idle,
        live: None,
        pending: None,
        last_error: None,
        backends: Vec::new(),
        reloads: 0,
        old_generations: 0,
        drift: None,
        probes: None,
        reload_budget: None,
    };
    axum::Json(status).into_response()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test]
async fn a_push_and_a_status_are_signed_and_answered() {
    let received = Received::default();
    let url = serve(small_agent(received.clone())).await;
    // A slash at the end of the URL is nobody's mistake.
    let publisher = HttpPublisher::new(publisher_settings(format!("{url}/"))).unwrap();
    let report = publisher.push(&state()).await.unwrap();
    assert_eq!(report.live, Some(Live { position: state().position, hash: state().hash }));
    assert_eq!(publisher.status().await.unwrap().engine, "nginx");
    publisher.push(&state()).await.unwrap();
    let ids = received.ids.lock().unwrap().clone();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "each message has a name of its own: {ids:?}");
}

#[tokio::test]
async fn either_secret_of_a_rotation_is_enough_and_none_is_refused() {
    let url = serve(small_agent(Received::default())).await;
    let with = |secrets: &[&str]| {
        let secrets = secrets.iter().map(|s| secret(s)).collect();
        HttpPublisher::new(HttpPublisherSettings { secrets, ..publisher_settings(url.clone()) }).unwrap()
    };
    assert!(with(&[OTHER_SECRET, SECRET]).push(&state()).await.is_ok());
    for secrets in [&[OTHER_SECRET][..], &[]] {
        let error = with(secrets).push(&state()).await.unwrap_err();
        assert!(matches!(&error, PublishError::Refused { refusal: Refusal::BadSignature { .. }, .. }), "{error}");
        assert_eq!((error.class(), error.as_str()), (ErrorClass::Permanent, "badSignature"));
        assert!(!error.to_string().contains("AAAAAAAA"), "a secret in a message: {error}");
    }
}

#[tokio::test]
async fn a_refusal_is_understood() {
    let url = serve(small_agent(Received::default())).await;
    let publisher = HttpPublisher::new(publisher_settings(url)).unwrap();
    let old = DesiredState { position: Position::default(), ..state() };
    let error = publisher.push(&old).await.unwrap_err();
    assert!(matches!(&error, PublishError::Refused { refusal: Refusal::OlderPosition { .. }, .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Fenced);
}

#[tokio::test]
async fn no_answer_in_time_and_nobody_there_are_transient() {
    let stalls = Router::new().fallback(std::future::pending::<()>);
    let timeout = Duration::from_millis(200);
    let url = serve(stalls).await;
    let slow = HttpPublisher::new(HttpPublisherSettings { timeout, ..publisher_settings(url) }).unwrap();
    let nobody = HttpPublisher::new(publisher_settings("http://127.0.0.1:1".to_owned())).unwrap();
    for (publisher, says) in [(slow, "timed out"), (nobody, "refused")] {
        let error = publisher.push(&state()).await.unwrap_err();
        assert!(matches!(error, PublishError::Unreachable { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(error.to_string().contains(says) && error.to_string().contains("cure:"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_agent_is_told_apart() {
    for (status, class) in [(200, ErrorClass::Permanent), (404, ErrorClass::Permanent), (502, ErrorClass::Transient)] {
        let answer = move || async move { (StatusCode::from_u16(status).unwrap(), "<html>hello</html>") };
        let url = serve(Router::new().fallback(answer)).await;
        let error = HttpPublisher::new(publisher_settings(url)).unwrap().status().await.unwrap_err();
        assert!(matches!(error, PublishError::Protocol { .. }), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
}

#[test]
fn bad_settings_are_told_with_their_cure() {
    let error = |settings| HttpPublisher::new(settings).err().expect("an error").to_string();
    for url in ["lb-1:8686", "ftp://x", "not a url", "https://"] {
        assert!(error(publisher_settings(url.into())).contains("cure: write https://HOST:PORT"), "{url}");
    }
    let good = || publisher_settings("https://lb-1:8686".into());
    let text = error(HttpPublisherSettings { ca_file: Some("/nowhere/ca.crt".into()), ..good() });
    assert!(text.contains("/nowhere/ca.crt") && text.contains("cure:"), "{text}");
    let text = error(HttpPublisherSettings { client_cert_file: Some("/nowhere/a.crt".into()), ..good() });
    assert!(text.contains("go together"), "{text}");
    let directory = tempfile::tempdir().unwrap();
    let no_pem = directory.path().join("ca.crt");
    std::fs::write(&no_pem, "hello").unwrap();
    let text = error(HttpPublisherSettings { ca_file: Some(no_pem), ..good() });
    assert!(text.contains("it holds no certificate"), "{text}");
}

/// Answers whether a state came compressed and signed as it was sent, by taking it or not.
async fn take_compressed(headers: HeaderMap, body: Bytes) -> Response {
    use std::io::Read;
    let text = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let signed =
        SignedHeaders { id: text(ID_HEADER), timestamp: text(TIMESTAMP_HEADER), signature: text(SIGNATURE_HEADER) };
    verify(&[secret(SECRET)], &signed, Timestamp::now(), &body).unwrap();
    assert_eq!(text("content-encoding"), "gzip");
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut json).unwrap();
    assert!(body.len() * 4 < json.len(), "{} of {} bytes", body.len(), json.len());
    let state: DesiredState = serde_json::from_slice(&json).unwrap();
    let live = Some(Live { position: state.position, hash: state.hash });
    axum::Json(ApplyReport { outcome: Outcome::Applied, live, timings: Vec::new() }).into_response()
}

#[tokio::test]
async fn a_large_state_is_compressed_and_signed_as_it_is_sent() {
    let listeners: Vec<_> = (0..500)
        .map(|n| {
            let name = tidegate_core::ids::ListenerName::parse(format!("listener-{n}")).unwrap();
            tidegate_core::desired::Listener { name, ..listener() }
        })
        .collect();
    let large = DesiredState::derive(state().cluster, state().position, &Membership::default(), &listeners);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let app = Router::new().route(DESIRED_STATE_PATH, post(take_compressed));
    tokio::spawn(async move { axum::serve(server, app).await });
    let report = HttpPublisher::new(publisher_settings(url)).unwrap().push(&large).await.unwrap();
    assert_eq!(report.live.unwrap().hash, large.hash);
}
