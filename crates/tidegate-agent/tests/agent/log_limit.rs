//! nginx's error log stays short, and says what it must all the same.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;

use crate::rig::{Rig, apply, apply_ok, rolled_back};
use crate::states::{at, listener, state};
use crate::traffic::{ask_once, backend, free_port, until};

const LIMIT: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grew_is_cut_and_keeps_one_predecessor_while_nginx_writes_on() {
    let mut rig = Rig::new();
    let (vip, dead) = (rig.free_port(), free_port(rig.address));
    let content = vec![(listener("http", vip), vec![at(dead)])];
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, content.clone())).await;
    let log = rig.state_dir().join("nginx-error.log");
    let length = |name: &str| std::fs::metadata(rig.state_dir().join(name)).map_or(0, |m| m.len());
    let grow = |mark: &str| {
        let mut file = OpenOptions::new().append(true).open(&log).unwrap();
        file.write_all(format!("{mark}\n").repeat(usize::try_from(LIMIT).unwrap() / (mark.len() + 1) + 1).as_bytes())
            .unwrap();
    };
    let kept = || std::fs::read_to_string(rig.state_dir().join("nginx-error.log.1")).unwrap_or_default();
    for mark in ["first", "second"] {
        grow(mark);
        until("it is cut", || length("nginx-error.log") < LIMIT && kept().contains(mark));
        assert!(length("nginx-error.log.1") > LIMIT);
        // The workers of old still write to it, from its new beginning.
        _ = ask_once(vip);
        until("nginx writes", || std::fs::read_to_string(&log).unwrap().contains("(111: "));
        assert!(length("nginx-error.log") < 64 * 1024);
    }
    assert!(!kept().contains("first"), "one predecessor, not two");
    assert!(!rig.state_dir().join("nginx-error.log.2").exists());

    // And the next failure is still found in it.
    let squatter = TcpListener::bind((rig.address, 0)).unwrap();
    let taken = listener("taken", squatter.local_addr().unwrap());
    let wanted = state(2, [content, vec![(taken, vec![at(backend(rig.address))])]].concat());
    let report = apply(&agent, &wanted).await;
    assert!(rolled_back(&report).message.contains("still could not bind()"), "{report:?}");
}
