//! `tidegate override GUARD`.

use std::time::Duration;

use tidegate_controller::OverrideReply;

use super::order::{token, whoami};
use crate::cli::{Output, OverrideArgs};
use crate::client::{ApiClient, OverrideBody};
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, clock, print, print_json};

/// Lets through what a guard holds, or lets it hold again.
pub async fn override_guard(args: &OverrideArgs, screen: Screen) -> Result<Exit, CommandError> {
    let client = ApiClient::from_args(&args.access.api)?;
    let by = args.by.clone().unwrap_or_else(whoami);
    let lasts = args.lasts.filter(|_| !args.end).unwrap_or(Duration::ZERO);
    let body = OverrideBody { by: &by, why: &args.why, for_seconds: lasts.as_secs() };
    let reply = client.override_guard(args.guard, &body, &token(&args.access)?).await?;
    match args.output {
        Output::Json => print_json(&reply)?,
        Output::Table => print(&reply_text(&reply, args.end, &screen.refreshed()))?,
    }
    Ok(Exit::Fine)
}

/// The answer as a person reads it.
fn reply_text(reply: &OverrideReply, ends: bool, screen: &Screen) -> String {
    let OverrideReply { guard, until, position } = reply;
    let where_ = format!("recorded in revision {} (term {})", position.revision, position.term);
    if ends {
        return format!("guard {guard} {}; {where_}\n", screen.style.good("holds again"));
    }
    let until = format!("{} ({})", screen.until(*until), clock(*until));
    let what = screen.style.busy("lets everything through");
    format!(
        "guard {guard} {what}, holds again {until}; {where_}\n  see how it goes: tidegate status\n  end it now:      tidegate override {guard} --end --why TEXT\n"
    )
}
