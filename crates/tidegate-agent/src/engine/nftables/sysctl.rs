//! What the kernel must be told so that it forwards, and keeps connections over a failover.

use std::net::SocketAddr;

use tidegate_core::desired::DesiredState;

/// Something of the kernel's settings that will be missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What does not work, for people.
    pub message: String,
    /// What to do: a command.
    pub cure: String,
}

/// Less than this many connections fill up within two minutes at 1,000 new ones a second.
const FEW: u64 = 131_072;

/// What is wrong for listeners at these addresses; `read` gives a setting's value by its name (`net.ipv4.ip_forward`), or
/// nothing when this kernel has none.
pub fn problems(binds: &[SocketAddr], read: impl Fn(&str) -> Option<String>) -> Vec<Problem> {
    let number = |name: &str| read(name).and_then(|value| value.trim().parse::<u64>().ok());
    let is_off = |name: &str| number(name) == Some(0);
    let [v4, v6] = [false, true].map(|six| binds.iter().any(|bind| bind.is_ipv6() == six));
    let loopback = binds.iter().any(|bind| bind.is_ipv4() && bind.ip().is_loopback());
    let mut problems = Vec::new();
    let mut missing = |wrong: bool, message: &str, name: &str, value: &str| {
        if wrong {
            let cure = format!("sysctl -w {name}={value}, and the same line in /etc/sysctl.d/60-tidegate.conf");
            problems.push(Problem { message: message.to_owned(), cure });
        }
    };
    let forward = "net.ipv4.ip_forward";
    missing(v4 && is_off(forward), "the kernel does not forward IPv4 packets: clients get no answer", forward, "1");
    let forward = "net.ipv6.conf.all.forwarding";
    missing(v6 && is_off(forward), "the kernel does not forward IPv6 packets: clients get no answer", forward, "1");
    let most = "net.netfilter.nf_conntrack_max";
    let few = number(most).is_some_and(|n| n < FEW);
    missing(
        few,
        "the kernel follows few connections at a time: new ones are dropped when they are used up",
        most,
        "262144",
    );
    let loose = "net.netfilter.nf_conntrack_tcp_loose";
    missing(is_off(loose), "connections do not survive a failover to this machine", loose, "1");
    let local = "net.ipv4.conf.all.route_localnet";
    missing(
        loopback && is_off(local),
        "a listener on a loopback address reaches only backends on this machine",
        local,
        "1",
    );
    problems
}

/// The same for a state, of this machine.
pub fn problems_here(state: &DesiredState) -> Vec<Problem> {
    let binds: Vec<SocketAddr> = state.listeners.iter().map(|l| l.bind).collect();
    problems(&binds, |name| std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |name| Some(if name.ends_with("max") { "262144" } else { value }.to_owned())
    }

    #[test]
    fn each_family_needs_its_own_forwarding() {
        let names = |binds: &[&str]| {
            let binds: Vec<SocketAddr> = binds.iter().map(|b| b.parse().unwrap()).collect();
            problems(&binds, kernel("0\n")).into_iter().map(|p| p.cure).collect::<Vec<_>>().join(" ")
        };
        assert!(names(&["10.0.0.1:80"]).contains("ip_forward=1") && !names(&["10.0.0.1:80"]).contains("ipv6"));
        assert!(names(&["[::]:80"]).contains("ipv6.conf.all.forwarding=1"));
        assert!(names(&["127.0.0.1:80"]).contains("route_localnet=1") && !names(&["10.0.0.1:80"]).contains("localnet"));
    }

    #[test]
    fn a_kernel_that_is_set_up_or_does_not_tell_has_no_problem() {
        let binds = ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()];
        assert_eq!(problems(&binds, kernel("1\n")), []);
        assert_eq!(problems(&binds, |_| None), []);
        let few = problems(&[], |name| name.ends_with("max").then(|| "65536".to_owned()));
        assert!(few.iter().any(|p| p.cure.contains("nf_conntrack_max=262144")), "{few:?}");
    }
}
