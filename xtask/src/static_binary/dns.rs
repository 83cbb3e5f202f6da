//! A name server that answers every question for an address with 127.0.0.1.

use tokio::net::UdpSocket;

/// A message with one question: header, labels, zero, type, class.
const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];

/// Answers until it is dropped.
pub(super) async fn serve(socket: UdpSocket) {
    let mut buffer = [0_u8; 512];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = buffer.get(..length).and_then(answer) {
            // Who asked will ask again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// The answer to `question`; none when it is no question. AAAA and others: the name exists, with no such address.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let labels = question.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let end = HEADER + labels + 5;
    let wanted = question.get(end - 4..end - 2)?;
    let found = u8::from(wanted == TYPE_A);
    let mut message = question.get(..2)?.to_vec();
    // An answer, recursion available; one question, `found` answers.
    message.extend([0x81, 0x80, 0, 1, 0, found, 0, 0, 0, 0]);
    message.extend(question.get(HEADER..end)?);
    if found == 1 {
        // The name is the one at byte 12; type A, class IN, 60 s, 4 bytes.
        message.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_answered_other_types_are_empty_and_rubbish_is_not_answered() {
        let question =
            |kind: u8| [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, kind, 0, 1][..], &[0; 11]].concat();
        let address = answer(&question(1)).unwrap();
        assert_eq!(address.get(..8).unwrap(), [7, 7, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(address.ends_with(&[127, 0, 0, 1]));
        let none = answer(&question(28)).unwrap();
        assert_eq!(none, [7, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 28, 0, 1]);
        assert!(answer(&[]).is_none() && answer(&[1; 40]).is_none() && answer(&question(1)[..15]).is_none());
    }
}
