//! Addresses in the file: sockets, networks, agents.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use schemars::{Schema, json_schema};

use super::text::{Written, Wrong};
use super::tree::Scalar;

impl Written for SocketAddr {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = scalar.text.trim();
        text.parse().map_err(|_| {
            let cure = if text.parse::<u16>().is_ok() {
                format!("write ADDRESS:PORT: \"0.0.0.0:{text}\" for every IPv4 address of the machine")
            } else if text
                .rsplit_once(':')
                .is_some_and(|(host, _)| host.chars().any(char::is_alphabetic) && !host.contains(':'))
            {
                "write an IP address, not a name: \"10.0.0.1:80\"".to_owned()
            } else {
                "write ADDRESS:PORT with a port from 0 to 65535: \"0.0.0.0:80\", for IPv6 \"[::]:80\"".to_owned()
            };
            Wrong::new(format!("{text:?} is not an address and port"), cure)
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$" })
    }
}

impl Written for IpNet {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = scalar.text.trim();
        text.parse().map_err(|_| {
            let cure = match text.parse::<IpAddr>() {
                Ok(address) => format!("write {}", Self::from(address)),
                Err(_) => "write NETWORK/LENGTH: 10.0.0.0/8, 192.0.2.7/32, 2001:db8::/32".to_owned(),
            };
            Wrong::new(format!("{text:?} is not a network"), cure)
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F:.]+/[0-9]{1,3}$" })
    }
}

/// Where an agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentUrl(pub reqwest::Url);

impl Written for AgentUrl {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = &scalar.text;
        let cure = "write https://ADDRESS:8686 (http:// without TLS), without a path";
        let url =
            reqwest::Url::parse(text).map_err(|error| Wrong::new(format!("{text:?} is not a URL: {error}"), cure))?;
        let plain = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !plain
            || url.path() != "/"
            || url.query().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(Wrong::new(format!("{:?} is not the address of an agent", redacted(&url)), cure));
        }
        Ok(Self(url))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://[^/]+/?$" })
    }
}

/// Somebody may have put a password into it.
fn redacted(url: &reqwest::Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}
