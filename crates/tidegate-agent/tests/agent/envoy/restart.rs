//! Another bootstrap: a successor takes the sockets over.

use tidegate_agent::{Agent, AgentSettings, EngineSettings};
use tidegate_core::protocol::EngineHealth;

use super::{EnvoySite, ask_admin};
use crate::conformance::envoy::processes;
use crate::conformance::site::settings_in;
use crate::rig::apply_ok;
use crate::states::{at, listener, state};
use crate::traffic::{Client, Load, answering, backend};

const TEMPLATE: &str = r#"{
  "node": { "id": "theirs", "cluster": "tidegate" },
{% include "envoy/admin.json" %}
,
  "static_resources": {
    "listeners": [{% for listener in listeners %}{% include "envoy/listener.json" %}{% if not loop.last %},{% endif %}{% endfor %}],
    "clusters": [{% for listener in listeners %}{% include "envoy/cluster.json" %}{% if not loop.last %},{% endif %}{% endfor %}]
  }
}
"#;

fn with_template(site: &EnvoySite, text: &str) -> AgentSettings {
    let template = site.dir.path().join("own.json");
    std::fs::write(&template, text).unwrap();
    let mut settings = settings_in::<crate::conformance::envoy::Envoy>(site.dir.path());
    if let EngineSettings::Envoy(envoy) = &mut settings.engine {
        envoy.template = Some(template);
    }
    settings
}

/// A request that is refused, reset or cut while the process is replaced would be counted.
#[tokio::test]
async fn another_bootstrap_goes_live_without_a_lost_request() {
    let mut site = EnvoySite::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let content = |pool| vec![(listener("http", vip), pool)];
    let agent = site.start().await;
    apply_ok(&agent, &state(1, content(vec![at(one)]))).await;
    let first = processes(site.dir.path());
    let loads = [Load::start(vip), Load::start(vip)];
    for load in &loads {
        load.see(50);
    }
    let mut kept = Client::connect(vip).unwrap();
    assert_eq!(kept.ask().unwrap(), one.port());
    agent.shutdown().await;

    let settings = with_template(&site, TEMPLATE);
    site.registry = prometheus_client::registry::Registry::default();
    let agent = Agent::start(settings, None, &mut site.registry).await.unwrap();
    apply_ok(&agent, &state(2, content(vec![at(one), at(two)]))).await;
    assert!(ask_admin(site.dir.path(), "/server_info").contains("\"theirs\""));
    assert_eq!(answering(vip), [one.port(), two.port()].into());
    for load in &loads {
        load.see(50);
    }
    // The predecessor is there for what it has, and counted.
    assert_eq!(kept.ask().unwrap(), one.port());
    let now = processes(site.dir.path());
    assert_eq!((first.len(), now.len()), (1, 2));
    // And the next change needs no process.
    apply_ok(&agent, &state(3, content(vec![at(two)]))).await;
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(processes(site.dir.path()), now);
    assert_eq!(agent.status().health, EngineHealth::Up);
    for load in loads {
        assert_eq!(load.stop(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_driven_is_refused_before_anything_is_touched() {
    let site = EnvoySite::new();
    let vip = site.free_port();
    let wanted = state(1, vec![(listener("http", vip), vec![at(vip)])]);
    let cases = [
        (TEMPLATE.replace("{% include \"envoy/admin.json\" %}\n,", ""), "admin.json"),
        (TEMPLATE.replace("\"node\"", "\"node"), "not JSON"),
        (TEMPLATE.replace("\"node\"", "\"nod\""), "nod"),
        (TEMPLATE.replace("\"node\"", "\"dynamic_resources\": {}, \"node\""), "dynamic_resources"),
    ];
    for (text, expected) in cases {
        let mut registry = prometheus_client::registry::Registry::default();
        let agent = Agent::start(with_template(&site, &text), None, &mut registry).await.unwrap();
        let report = crate::rig::apply(&agent, &wanted).await;
        let cause = crate::rig::rolled_back(&report);
        assert!(cause.message.contains(expected) && !cause.cure.is_empty(), "{expected}: {cause:?}");
        assert_eq!((processes(site.dir.path()), site.live_file().exists()), (Vec::new(), false));
        agent.shutdown().await;
    }
}
