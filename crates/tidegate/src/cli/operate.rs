//! What an operator can ask for: the arguments of commands that change something.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use tidegate_core::guard::Guard;
use tidegate_core::ids::NodeName;

use super::{ApiArgs, Output, duration, guard, node_name};
use crate::config::Role;

/// Of `drain` and `undrain`.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// Name of the node
    #[arg(value_parser = node_name)]
    pub node: NodeName,
    /// Who asks, for the record [default: $USER@HOST]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// What for, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub why: String,
    /// Wait until it is done: out of every load balancer, or active again in all of them
    #[arg(long)]
    pub wait: bool,
    /// How long to wait; then end with 3
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m", requires = "wait")]
    pub timeout: Duration,
    /// Whom to ask
    #[command(flatten)]
    pub access: AccessArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// An API that takes orders.
#[derive(Debug, Args)]
pub struct AccessArgs {
    /// File with the API's token [default: api.tokenFile of the file that -c names]
    #[arg(long, env = "TIDEGATE_TOKEN_FILE", hide_env_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Where to ask
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Of `override`.
#[derive(Debug, Args)]
pub struct OverrideArgs {
    /// Name of the guard: fresh, half, velocity, all-failing or large-drop
    #[arg(value_parser = guard)]
    pub guard: Guard,
    /// For how long; at most 24h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, required_unless_present = "end")]
    pub lasts: Option<Duration>,
    /// Let the guard hold again, now
    #[arg(long, conflicts_with = "lasts")]
    pub end: bool,
    /// What for, for the record
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Who asks, for the record [default: $USER@HOST]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Whom to ask
    #[command(flatten)]
    pub access: AccessArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What can be done with what is recorded.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Copies everything that is recorded of a cluster into an empty store of another kind
    ///
    /// Nodes, drains in progress, orders, the term and the whole history; then compares both. Stop every controller
    /// first: what one records meanwhile would be lost, and this is refused while the log grows. The source stays as it
    /// is; change `store` in the configuration afterwards.
    #[command(
        after_help = "Example:\n  tidegate store migrate --from /etc/tidegate/sqlite.yaml --to /etc/tidegate/mongodb.yaml"
    )]
    Migrate(MigrateArgs),
}

/// Of `store migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Configuration file with the store to copy
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub from: PathBuf,
    /// Configuration file with the store to fill; it must be empty
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub to: PathBuf,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// The configuration file of the controller
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Do it; otherwise only say what would be done
    #[arg(long)]
    pub yes: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Look at what this role needs; otherwise the first one that the file seems to be for
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
