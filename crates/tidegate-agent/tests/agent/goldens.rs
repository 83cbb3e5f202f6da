//! What nginx's own settings make of a text; features of listeners are in `conformance`.

use std::path::Path;
use std::time::Duration;

use tidegate_agent::engine::preview;
use tidegate_agent::{EngineSettings, NginxSettings, render_to_string};

use crate::conformance::goldens::{bind, one, pool};
use crate::states::{listener, state};

#[test]
fn old_workers_are_ended_only_when_that_is_asked_for() {
    let text = |limit| {
        let nginx = NginxSettings { worker_shutdown_timeout: limit, ..NginxSettings::new("/etc/tidegate/nginx.conf") };
        let renderer = preview(&EngineSettings::Nginx(nginx), Path::new("/var/lib/tidegate")).unwrap();
        renderer.render(&one(|_| {}, pool(1, 80))).unwrap().text
    };
    assert!(text(Some(Duration::from_secs(90))).contains("\nworker_shutdown_timeout 90000ms;\n"));
    assert!(!text(None).contains("worker_shutdown_timeout"));
}

#[test]
fn the_text_depends_on_nothing_but_state_and_settings() {
    let engine = EngineSettings::Nginx(NginxSettings::new("/etc/tidegate/nginx.conf"));
    let content = || vec![(listener("http", bind(18080)), pool(3, 80))];
    assert_eq!(render_to_string(&engine, &state(1, content())), render_to_string(&engine, &state(2, content())));
    let other = vec![(listener("http", bind(18080)), pool(2, 80))];
    assert_ne!(render_to_string(&engine, &state(1, content())), render_to_string(&engine, &state(1, other)));
}
