//! Templates of the user's own: what they hold beyond Tidegate's servers is left alone.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::{start_with_template, state_of, worker};
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::apply_ok;
use crate::states::{at, listener, state};
use crate::traffic::{Load, answering, backend};

/// With more in `defaults`, behind each address, and in each section.
fn template(defaults: &str, options: &str, more: &str) -> String {
    format!(
        "{{% include 'haproxy/preamble.cfg' %}}\n{{% include 'haproxy/defaults.cfg' %}}\n    {defaults}\n\
         {{% for listener in listeners %}}\nlisten {{{{ listener.name }}}}\n    bind {{{{ listener.bind }}}}\n    \
         balance random\n{{% for backend in listener.backends %}}\n    \
         server {{{{ backend.id }}}} {{{{ backend.address }}}} {options}\n{{% endfor %}}\n    {more}\n{{% endfor %}}\n"
    )
}

#[tokio::test]
async fn servers_of_the_templates_own_are_left_alone() {
    let site = Site::<Haproxy>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let own = backend(Ipv4Addr::LOCALHOST);
    let (name, many) =
        (format!("server own localhost:{}", own.port()), format!("server-template many 2 localhost:{}", own.port()));
    let agent = start_with_template(&site, &template("", "", &format!("{name}\n    {many}"))).await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let before = worker(&site);
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(worker(&site), before, "changed in place");
    for name in ["own", "many1", "many2"] {
        assert_eq!(state_of(&site, name).unwrap_or_else(|| panic!("{name} is gone"))[6], "0", "{name}");
    }
    assert_eq!(answering(vip), [own.port(), two.port()].into());
}

#[tokio::test]
async fn what_a_server_may_not_have_at_runtime_is_reloaded_and_nobody_waits_without_a_server() {
    let site = Site::<Haproxy>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    // `add server` refuses this word; a file may have it.
    let agent = start_with_template(&site, &template("", "init-addr last,none", "")).await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let load = Load::start(vip);
    load.see(20);
    for revision in 2..8 {
        let wanted = if revision % 2 == 0 { two } else { one };
        apply_ok(&agent, &state(revision, vec![(listener("http", vip), vec![at(wanted)])])).await;
        assert_eq!(answering(vip), [wanted.port()].into());
    }
    assert_eq!(load.stop(), Vec::<String>::new());
}

#[tokio::test]
async fn default_server_counts_for_servers_that_come_later() {
    let site = Site::<Haproxy>::new();
    let vip = site.free_port();
    let [one, two] = [(); 2].map(|()| TcpListener::bind((site.address, 0)).unwrap());
    let agent = start_with_template(&site, &template("default-server send-proxy", "", "")).await;
    for (revision, node) in (1..).zip([&one, &two]) {
        let pool = vec![at(node.local_addr().unwrap())];
        apply_ok(&agent, &state(revision, vec![(listener("http", vip), pool)])).await;
        let mut client = TcpStream::connect(vip).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut seen, _) = node.accept().unwrap();
        seen.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut got = [0; 5];
        seen.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), "PROXY", "node {revision}");
    }
}
