//! The little of HTTP/1.1 that the admin interface speaks; pure.

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `200`
    pub status: u16,
    /// Decoded.
    pub body: Vec<u8>,
}

/// A request for a path, after whose answer the connection ends.
pub fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: envoy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// `a.b|c` as it is written in a query.
pub fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Reads an answer that is there from its first byte to the end of the connection; nothing when it is not whole.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?.to_ascii_lowercase();
    let rest = bytes.get(end + 4..)?;
    let status = head.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| line.split_once(':').filter(|(n, _)| *n == name).map(|(_, v)| v.trim()))
    };
    let body = match (header("transfer-encoding"), header("content-length")) {
        (Some("chunked"), _) => dechunked(rest)?,
        (_, Some(length)) => rest.get(..length.parse::<usize>().ok()?)?.to_vec(),
        _ => rest.to_vec(),
    };
    Some(Answer { status, body })
}

fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..line)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let from = line + 2;
        if size == 0 {
            return Some(body);
        }
        let until = from.checked_add(size)?;
        body.extend_from_slice(rest.get(from..until)?);
        rest = rest.get(until.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(text: &str) -> Option<String> {
        parse(text.as_bytes()).map(|a| String::from_utf8(a.body).unwrap())
    }

    #[test]
    fn answers_are_read_in_each_encoding_and_only_when_whole() {
        let chunked = "HTTP/1.1 200 OK\r\nserver: envoy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(body(chunked).as_deref(), Some("abc0123456789"));
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").as_deref(), Some("ok"));
        for cut in
            ["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", &chunked[..chunked.len() - 12], "", "HTTP/1.1 200"]
        {
            assert_eq!(body(cut), None, "{cut:?}");
        }
        assert_eq!(parse(b"HTTP/1.1 426 Upgrade Required\r\n\r\n").unwrap().status, 426);
    }

    #[test]
    fn a_query_cannot_end_a_request() {
        assert_eq!(escaped("^a\\.(b|c) \r\n$"), "%5Ea%5C.%28b%7Cc%29%20%0D%0A%24");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn garbage_is_no_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            _ = parse(&bytes);
            let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            answer.extend(&bytes);
            _ = parse(&answer);
        }

        #[test]
        fn whatever_is_chunked_comes_out(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8)) {
            let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for part in &parts {
                answer.extend(format!("{:x}\r\n", part.len()).bytes());
                answer.extend(part);
                answer.extend(b"\r\n");
            }
            answer.extend(b"0\r\n\r\n");
            prop_assert_eq!(parse(&answer).unwrap().body, parts.concat());
        }
    }
}
