//! `webhook-signature: v1,<base64 HMAC-SHA256 of id.timestamp.body>`, one for each secret in use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Secret;
use crate::protocol::Refusal;

/// Names the message: the same for each attempt to deliver it.
pub const ID_HEADER: &str = "webhook-id";
/// Seconds since the epoch at which this attempt was made.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Space separated signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far the two clocks may be apart.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// The three headers of a signed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// [`ID_HEADER`]
    pub id: String,
    /// [`TIMESTAMP_HEADER`]
    pub timestamp: String,
    /// [`SIGNATURE_HEADER`]
    pub signature: String,
}

/// Signs a message with every secret, so that one of them can be taken out of use at the other end first.
pub fn sign(secrets: &[Secret], id: &str, now: Timestamp, body: &[u8]) -> SignedHeaders {
    let timestamp = now.as_second().to_string();
    let signatures: Vec<String> =
        secrets.iter().map(|s| format!("v1,{}", STANDARD.encode(digest(s, id, &timestamp, body)))).collect();
    SignedHeaders { id: id.to_owned(), timestamp, signature: signatures.join(" ") }
}

/// Checks time, then signature. The body is only worth reading when this is `Ok`.
pub fn verify(secrets: &[Secret], headers: &SignedHeaders, now: Timestamp, body: &[u8]) -> Result<(), Refusal> {
    let bad = |detail: &str| Refusal::BadSignature { detail: detail.to_owned() };
    if headers.id.is_empty() || headers.id.len() > 128 {
        return Err(bad("webhook-id must have 1 to 128 characters"));
    }
    let sent: i64 = headers.timestamp.parse().map_err(|_| bad("webhook-timestamp is not a number of seconds"))?;
    let offered: Vec<Vec<u8>> =
        headers.signature.split(' ').filter_map(|part| STANDARD.decode(part.strip_prefix("v1,")?).ok()).collect();
    let genuine = secrets.iter().any(|secret| {
        let expected = digest(secret, &headers.id, &headers.timestamp, body);
        offered.iter().any(|signature| bool::from(signature.as_slice().ct_eq(&expected)))
    });
    if !genuine {
        return Err(bad("no v1 signature in webhook-signature matches a secret of this agent"));
    }
    // After the signature: only the holder of a secret learns what this machine's clock says.
    let seconds = now.as_second().abs_diff(sent);
    if seconds > TOLERANCE.as_secs() {
        return Err(Refusal::Stale { seconds, limit: TOLERANCE.as_secs() });
    }
    Ok(())
}

fn digest(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes a key of any length")
    };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::after;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    const ONE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const TWO: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

    /// The example that the reference libraries of Standard Webhooks are tested with.
    #[test]
    fn the_published_example_verifies() {
        let headers = SignedHeaders {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            timestamp: "1614265330".into(),
            signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".into(),
        };
        let now = Timestamp::from_second(1_614_265_330).unwrap();
        assert_eq!(verify(&[secret(ONE)], &headers, now, br#"{"test": 2432232314}"#), Ok(()));
    }

    #[test]
    fn either_secret_of_a_rotation_is_enough() {
        let now = Timestamp::UNIX_EPOCH;
        let both = sign(&[secret(ONE), secret(TWO)], "id", now, b"body");
        for old_or_new in [ONE, TWO] {
            assert_eq!(verify(&[secret(old_or_new)], &both, now, b"body"), Ok(()));
        }
        let one = sign(&[secret(ONE)], "id", now, b"body");
        assert_eq!(verify(&[secret(TWO), secret(ONE)], &one, now, b"body"), Ok(()));
        assert!(matches!(verify(&[secret(TWO)], &one, now, b"body"), Err(Refusal::BadSignature { .. })));
    }

    #[test]
    fn nothing_signed_can_be_changed() {
        let now = Timestamp::UNIX_EPOCH;
        let good = sign(&[secret(ONE)], "id", now, b"body");
        let forged = [
            SignedHeaders { id: "other".into(), ..good.clone() },
            SignedHeaders { timestamp: "1".into(), ..good.clone() },
            SignedHeaders { signature: good.signature.replace("v1,", "v2,"), ..good.clone() },
            SignedHeaders { signature: String::new(), ..good.clone() },
            SignedHeaders { id: String::new(), ..good.clone() },
            SignedHeaders { timestamp: "now".into(), ..good.clone() },
        ];
        for headers in forged {
            assert!(matches!(verify(&[secret(ONE)], &headers, now, b"body"), Err(Refusal::BadSignature { .. })));
        }
        assert!(verify(&[secret(ONE)], &good, now, b"b0dy").is_err());
        assert!(verify(&[], &good, now, b"body").is_err());
    }

    #[test]
    fn a_minute_is_the_limit_in_both_directions() {
        let sent = Timestamp::from_second(1_000_000).unwrap();
        let headers = sign(&[secret(ONE)], "id", sent, b"");
        assert_eq!(verify(&[secret(ONE)], &headers, after(sent, TOLERANCE), b""), Ok(()));
        let late = after(sent, TOLERANCE + Duration::from_secs(1));
        assert_eq!(verify(&[secret(ONE)], &headers, late, b""), Err(Refusal::Stale { seconds: 61, limit: 60 }));
        let early = Timestamp::from_second(1_000_000 - 61).unwrap();
        assert!(matches!(verify(&[secret(ONE)], &headers, early, b""), Err(Refusal::Stale { .. })));
    }
}
