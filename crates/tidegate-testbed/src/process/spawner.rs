//! One thread that starts every child.
//!
//! Linux delivers the parent-death signal when the *thread* that started a child ends. Test threads
//! end after each test, so a shared cluster started by one would die with it; this thread lives as
//! long as the process.

use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result, anyhow};

struct Order {
    command: Command,
    answer: Sender<std::io::Result<Child>>,
}

pub(super) fn spawn(command: Command) -> Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let (answer, result) = channel();
    ORDERS.get_or_init(start).send(Order { command, answer }).map_err(|_| anyhow!("the spawner thread is gone"))?;
    Ok(result.recv().context("the spawner thread is gone")??)
}

fn start() -> Sender<Order> {
    let (orders, queue) = channel::<Order>();
    std::thread::spawn(move || {
        for mut order in queue {
            // Nobody left to hear it: the child is dropped, and killed by the sweep.
            let _ = order.answer.send(order.command.spawn());
        }
    });
    orders
}
