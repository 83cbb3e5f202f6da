//! `cargo xtask demo`: the main job on real parts, told live in the terminal.

mod picture;
mod screen;
mod stage;
mod story;
mod table;

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tidegate_testbed::{run, servers, sweep};
use tokio::signal::unix::{SignalKind, signal};

use screen::Screen;

/// Shows Tidegate at work: a real API server, workers, a load balancer, and a client that never stops.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Keep everything running at the end, with the commands to look around, until Ctrl-C.
    #[arg(long)]
    hold: bool,
    /// Requests per second of the client, half of them on new connections.
    #[arg(long, default_value_t = 800)]
    rate: u32,
    /// Plain lines instead of the live view (the default without a terminal).
    #[arg(long)]
    plain: bool,
}

impl Demo {
    pub fn run(&self) -> Result<()> {
        let swept = sweep::sweep_stale();
        if swept != sweep::Swept::default() {
            println!("removed what an earlier run left behind: {swept:?}");
        }
        servers::ensure_all()?;
        crate::build::tidegate()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(self.tell());
        // Drops have removed everything; what a signal or a panic skipped goes now.
        runtime.shutdown_background();
        sweep::sweep_own();
        result
    }

    async fn tell(&self) -> Result<()> {
        let screen = Screen::new(std::io::stdout().is_terminal() && !self.plain)?;
        let mut interrupt = signal(SignalKind::interrupt()).context("handling Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("handling SIGTERM")?;
        tokio::select! {
            result = story::tell(self.rate, self.hold, &screen) => {
                screen.close();
                result
            }
            _ = interrupt.recv() => stopped(&screen),
            _ = terminate.recv() => stopped(&screen),
        }
    }
}

fn stopped(screen: &Screen) -> Result<()> {
    screen.close();
    println!("stopped; removing everything in {}", run::current()?.folder().display());
    Ok(())
}
