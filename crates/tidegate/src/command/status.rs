//! `tidegate status`: what is desired, what is live, and what stands in the way.

mod view;

pub use view::{held, phase_paint, status_text};

use std::io::IsTerminal as _;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::class::ErrorClass;
use tidegate_core::status::ClusterStatus;
use tokio::time::Instant;

use crate::cli::{Output, StatusArgs};
use crate::client::{ApiClient, ClientError};
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, print, print_json};

/// Between two looks while waiting: short beside a reload.
const WAIT_STEP: Duration = Duration::from_millis(200);
/// Between two looks while watching: as often as a person can read.
const WATCH_STEP: Duration = Duration::from_secs(1);

/// Shows the status once, whenever it changes, or when all is in sync.
pub async fn status(args: &StatusArgs, screen: Screen) -> Result<Exit, CommandError> {
    let client = ApiClient::from_args(&args.api)?;
    if args.watch {
        return watch(&client, args.output, screen).await;
    }
    let status = if args.wait { settled(&client, args.timeout).await? } else { client.status().await? };
    show(&status, args.output, &screen.refreshed())?;
    Ok(if status.is_in_sync() { Exit::Fine } else { Exit::Degraded })
}

fn show(status: &ClusterStatus, output: Output, screen: &Screen) -> std::io::Result<()> {
    match output {
        Output::Json => print_json(status),
        Output::Table => print(&status_text(status, screen)),
    }
}

/// The first status in which all is in sync, else the last one before the time is up.
async fn settled(client: &ApiClient, timeout: Duration) -> Result<ClusterStatus, ClientError> {
    let deadline = Instant::now() + timeout;
    loop {
        let answer = client.status().await;
        let over = Instant::now() + WAIT_STEP > deadline;
        match answer {
            Ok(status) if status.is_in_sync() || over => return Ok(status),
            Err(error) if over || error.class() != ErrorClass::Transient => return Err(error),
            _ => tokio::time::sleep(WAIT_STEP).await,
        }
    }
}

/// On a terminal the screen is drawn again each second; in a pipe each change is written below the last.
async fn watch(client: &ApiClient, output: Output, screen: Screen) -> Result<Exit, CommandError> {
    let redraw = output == Output::Table && std::io::stdout().is_terminal();
    let mut shown: Option<Result<ClusterStatus, String>> = None;
    loop {
        let next = client.status().await.map_err(|error| error.to_string());
        if redraw {
            let text = match &next {
                Ok(status) => status_text(status, &Screen::stdout()),
                Err(error) => format!("{}\n", screen.style.bad(error)),
            };
            print(&format!("\x1b[H\x1b[2J{text}"))?;
        } else if shown.as_ref().map(stable) != Some(stable(&next)) {
            match &next {
                Ok(status) => show(status, output, &screen.refreshed())?,
                Err(error) => print(&format!("{error}\n"))?,
            }
        }
        shown = Some(next);
        tokio::select! {
            () = tokio::time::sleep(WATCH_STEP) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Fine),
        }
    }
}

/// A status without what changes by itself.
fn stable(status: &Result<ClusterStatus, String>) -> Result<ClusterStatus, String> {
    let mut status = status.clone();
    if let Ok(status) = &mut status {
        status.load_balancers.iter_mut().for_each(|lb| lb.last_seen = None);
        status.replicas.iter_mut().for_each(|replica| replica.last_seen = Timestamp::UNIX_EPOCH);
    }
    status
}
