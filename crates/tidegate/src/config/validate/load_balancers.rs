//! The load balancer machines: each on its own, and all against each other.

use std::time::Duration;

use super::{Validator, value_or};
use crate::config::raw::RawLoadBalancer;
use crate::config::read::At;
use crate::config::{LoadBalancerConfig, Role, defaults};

impl Validator<'_> {
    /// All that can be read; whatever is wrong with any is noted.
    pub(super) fn load_balancers(&mut self) -> Vec<LoadBalancerConfig> {
        let example =
            "loadBalancers: [{ name: lb-1, url: \"https://10.0.0.5:8686\", secretFile: /etc/tidegate/webhook.secret }]";
        let list = self.need(self.raw.load_balancers.as_ref(), "loadBalancers", Role::Controller, example);
        let Some(list) = list else { return Vec::new() };
        if list.value.is_empty() && !self.problems.mentions("loadBalancers") {
            self.problems.error(&list.spot, "is empty; `tidegate controller` needs one", format!("write `{example}`"));
        }
        self.check_distinct(&list.value);
        list.value.iter().filter_map(|lb| self.load_balancer(lb)).collect()
    }

    fn check_distinct(&mut self, list: &[At<RawLoadBalancer>]) {
        for (n, lb) in list.iter().enumerate() {
            let before = list.iter().take(n);
            if let Some(name) = &lb.name
                && let Some(other) = before.clone().filter_map(|o| o.name.as_ref()).find(|o| o.value == name.value)
            {
                let message = format!("name {} is taken (line {})", name.value.0, other.spot.place.line);
                self.problems.error(&name.spot, message, "give each load balancer a name of its own");
            }
            if let Some(url) = &lb.url
                && let Some(other) = before.clone().filter_map(|o| o.url.as_ref()).find(|o| o.value == url.value)
            {
                let message = format!("the same agent stands in line {}", other.spot.place.line);
                self.problems.error(&url.spot, message, "remove one of the two");
            }
        }
    }

    fn load_balancer(&mut self, lb: &At<RawLoadBalancer>) -> Option<LoadBalancerConfig> {
        let client_identity = match (&lb.client_cert_file, &lb.client_key_file) {
            (Some(cert), Some(key)) => Some((self.path(cert), self.path(key))),
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                self.problems.error(&one.spot, "comes alone", "write clientCertFile and clientKeyFile, or neither");
                None
            }
        };
        let url = lb.url.as_ref()?;
        if url.0.0.scheme() == "http" && !is_loopback(&url.0.0) {
            let cure = "use https with agent.tls, unless the network is trusted";
            self.problems.warning(&url.spot, "what is sent can be read on the way (it cannot be forged)", cure);
        }
        let timeout = value_or(lb.timeout.as_ref(), defaults::PUSH_TIMEOUT);
        if let Some(given) = lb.timeout.as_ref().filter(|_| timeout < Duration::from_secs(1)) {
            self.problems.error(&given.spot, "is too short for any reload", "write at least 1s; 30s suits most");
        }
        Some(LoadBalancerConfig {
            name: lb.name.as_ref()?.value.0.clone(),
            url: url.0.0.clone(),
            secret_file: self.path(lb.secret_file.as_ref()?),
            ca_file: lb.ca_file.as_ref().map(|file| self.path(file)),
            client_identity,
            timeout,
        })
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}
