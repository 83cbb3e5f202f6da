//! `tidegate drain NODE` and `tidegate undrain NODE`.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_controller::OrderReply;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::NodeUid;
use tidegate_core::log::Phase;
use tidegate_core::order::OrderKind;
use tidegate_core::status::{ClusterStatus, LoadBalancerStatus, NodeStatus};
use tokio::time::Instant;

use crate::cli::{AccessArgs, OrderArgs, Output};
use crate::client::{ApiClient, OrderBody};
use crate::config::load::load_token_file;
use crate::config::one_line::{Hidden, Kind, read_one_line};
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, one_line, print, print_json};
use crate::serve::settings::host_name;

/// Between two looks while waiting: a drain takes seconds.
const STEP: Duration = Duration::from_millis(300);

/// Gives the order, and waits until it has been followed where that is asked for.
pub async fn order(kind: OrderKind, args: &OrderArgs, screen: Screen) -> Result<Exit, CommandError> {
    let client = ApiClient::from_args(&args.access.api)?;
    let by = args.by.clone().unwrap_or_else(whoami);
    let body = OrderBody { by: &by, why: &args.why };
    let reply = client.order(kind, &args.node, &body, &token(&args.access)?).await?;
    match args.output {
        Output::Json => print_json(&reply)?,
        Output::Table => print(&reply_text(kind, &reply, args.wait, &screen))?,
    }
    if !args.wait {
        return Ok(Exit::Fine);
    }
    let waited = wait(kind, &client, &reply, args.timeout).await?;
    if let (Some(status), Output::Table) = (&waited.last, args.output) {
        let missing = missing(kind, &reply.uid, status);
        let node = &args.node;
        let done =
            if kind == OrderKind::Drain { "is out of every load balancer" } else { "is active in every load balancer" };
        match missing {
            None => print(&format!("{node} {}\n", screen.style.good(done)))?,
            Some(why) => print(&format!("{}: {why}\n", screen.style.bad(&format!("{node} is not there yet"))))?,
        }
    }
    Ok(if waited.done { Exit::Fine } else { Exit::Degraded })
}

struct Waited {
    done: bool,
    last: Option<ClusterStatus>,
}

/// A leader that changes meanwhile keeps the order: what it answers counts, whoever it is.
async fn wait(
    kind: OrderKind,
    client: &ApiClient,
    reply: &OrderReply,
    timeout: Duration,
) -> Result<Waited, CommandError> {
    let deadline = Instant::now() + timeout;
    let mut last = None;
    loop {
        match client.status().await {
            Ok(status) => {
                let done = missing(kind, &reply.uid, &status).is_none();
                last = Some(status);
                if done {
                    return Ok(Waited { done, last });
                }
            }
            Err(error) if error.class() != ErrorClass::Transient || last.is_none() => return Err(error.into()),
            Err(_) => {}
        }
        if Instant::now() + STEP > deadline {
            return Ok(Waited { done: false, last });
        }
        tokio::time::sleep(STEP).await;
    }
}

/// What is missing until the order has been followed everywhere; nothing when it has.
fn missing(kind: OrderKind, uid: &NodeUid, status: &ClusterStatus) -> Option<String> {
    let node = status.nodes.iter().find(|node| node.uid == *uid);
    let there = match (kind, node) {
        (OrderKind::Undrain, Some(node)) => node.state == Phase::Active,
        (OrderKind::Undrain, None) => false,
        (_, node) => node.is_none_or(|node| node.state == Phase::Out),
    };
    if !there {
        return Some(node.map_or_else(|| "the node is no more".to_owned(), state_of));
    }
    let behind: Vec<String> = status.load_balancers.iter().filter(|lb| !lb.in_sync).map(behind).collect();
    (!behind.is_empty()).then(|| format!("not in sync: {}", behind.join("; ")))
}

fn state_of(node: &NodeStatus) -> String {
    let held = node.held_by.map(|guard| format!(", held by guard {guard}")).unwrap_or_default();
    format!("it is {} by rule {}{held}: {}", node.state.as_str(), node.rule, one_line(&node.reason))
}

fn behind(lb: &LoadBalancerStatus) -> String {
    let error = lb.last_error.as_ref().map(|error| format!(" ({})", one_line(&error.message)));
    format!("{}{}", lb.name, error.unwrap_or_default())
}

/// The answer as a person reads it.
pub fn reply_text(kind: OrderKind, reply: &OrderReply, waits: bool, screen: &Screen) -> String {
    let OrderReply { node, position, already, .. } = reply;
    if let Some(already) = already {
        return format!("{node}: {}\n", one_line(already));
    }
    let what = screen.style.good(&format!("{} is recorded", kind.as_str()));
    let next = match (waits, kind) {
        (true, _) => String::new(),
        (false, OrderKind::Drain) => {
            format!("\n  see how it goes: tidegate explain {node}\n  end it:          tidegate undrain {node}")
        }
        (false, _) => format!("\n  see how it goes: tidegate explain {node}"),
    };
    format!("{node}: {what} in revision {} (term {}){next}\n", position.revision, position.term)
}

/// The token that the arguments name.
pub fn token(args: &AccessArgs) -> Result<Hidden, CommandError> {
    let configured = || args.api.config.as_deref().map(load_token_file).transpose().map(Option::flatten);
    let path: Option<PathBuf> = match &args.token_file {
        Some(path) => Some(path.clone()),
        None => configured()?,
    };
    let path = path.ok_or(CommandError::NoToken)?;
    Ok(read_one_line(&path, Kind::Token)?)
}

/// `$USER@HOST`
pub fn whoami() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    format!("{}@{}", user.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned()), host_name())
}
