//! The command line: what can be typed, with its help.

mod operate;

pub use operate::{AccessArgs, DoctorArgs, MigrateArgs, OrderArgs, OverrideArgs, StoreCommand, UninstallArgs};

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use tidegate_core::guard::Guard;
use tidegate_core::ids::NodeName;

use crate::config::Role;
use crate::config::text::Written as _;
use crate::config::tree::Scalar;

/// Keeps the load balancer in front of a Kubernetes cluster pointed at exactly the nodes that should
/// receive traffic.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 fine, 1 failed, 2 usage or bad config, 3 a difference or degraded.\n\
    First steps: `tidegate check -c FILE`, then `tidegate run -c FILE`, then `tidegate status`.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Controller, store and agent in one process, on the one load balancer machine
    ///
    /// Serves the last recorded set at once, also while the API server cannot be reached. SIGTERM and SIGINT end
    /// it cleanly; traffic goes on.
    #[command(after_help = "Example:\n  tidegate run -c /etc/tidegate/tidegate.yaml")]
    Run(RunArgs),
    /// Watches the cluster, decides, records, and drives the agents on the load balancer machines
    #[command(after_help = "Example:\n  tidegate controller -c /etc/tidegate/tidegate.yaml --log-format json")]
    Controller(ControllerArgs),
    /// Receives desired states and puts them live in the engine of this machine
    #[command(after_help = "Example:\n  tidegate agent -c /etc/tidegate/agent.yaml")]
    Agent(RunArgs),
    /// What is desired, what is live, and what stands in the way
    ///
    /// Ends with 3 when something is degraded: a load balancer is not in sync, the view is frozen, or a guard holds
    /// something back.
    #[command(
        after_help = "Examples:\n  tidegate status\n  tidegate status --wait --timeout 2m    # in a deployment script\n  \
        tidegate status -o json | jq '.nodes[] | select(.state != \"active\")'"
    )]
    Status(StatusArgs),
    /// Why a node receives traffic or not, since when, and what would change it
    #[command(after_help = "Example:\n  tidegate explain worker-3")]
    Explain(ExplainArgs),
    /// The engine configuration that would be live, without touching anything
    ///
    /// From the newest state in the store (the agent's last state that worked, where there is no store), from a
    /// file, or from an example.
    #[command(after_help = "Examples:\n  tidegate render -c /etc/tidegate/tidegate.yaml\n  \
        tidegate render -c tidegate.yaml --example    # before anything was recorded\n  \
        tidegate render -c agent.yaml --state /var/lib/tidegate/last-known-good.json")]
    Render(RenderArgs),
    /// Checks a configuration file and the files it names; reports all problems at once
    ///
    /// Each problem with its line, column, path and cure. Ends with 2 when there is one.
    #[command(
        after_help = "Examples:\n  tidegate check -c /etc/tidegate/tidegate.yaml\n  tidegate check -c agent.yaml --role agent -o json"
    )]
    Check(CheckArgs),
    /// Asks everything that a configuration names whether it is there and ready; changes nothing
    ///
    /// API server, rights, clocks and store; on a load balancer machine its engine, folders, ports and kernel settings; with
    /// agents elsewhere, each of them. Each finding with its cure. Ends with 1 when something does not work.
    #[command(after_help = "Examples:\n  tidegate doctor -c /etc/tidegate/tidegate.yaml\n  \
        tidegate doctor -c agent.yaml && systemctl start tidegate")]
    Doctor(DoctorArgs),
    /// Prints the JSON Schema of the configuration file, for editors
    #[command(after_help = "Example:\n  tidegate schema > tidegate.schema.json\n  \
        # first line of tidegate.yaml:  # yaml-language-server: $schema=./tidegate.schema.json")]
    Schema,
    /// The audit trail: when, by which rule, what, in which revision
    ///
    /// From the controller's API; with -c, straight from the store when the controller is down.
    #[command(
        after_help = "Examples:\n  tidegate history\n  tidegate history worker-3 --limit 5\n  tidegate history -c /etc/tidegate/tidegate.yaml"
    )]
    History(HistoryArgs),
    /// Takes a node out of every load balancer, and keeps it out until `undrain`
    ///
    /// Recorded with who and why, so that every later leader keeps it. New connections stop at once; those that the node has
    /// live until nodes.drainTimeout, or until they are gone. A Node that is deleted takes the order with it. Needs a token.
    #[command(after_help = "Examples:\n  tidegate drain worker-3 --why 'new disk' -c /etc/tidegate/tidegate.yaml\n  \
        tidegate drain worker-3 --wait && kubectl drain worker-3    # with TIDEGATE_TOKEN_FILE set")]
    Drain(OrderArgs),
    /// Ends a `drain`: the rules decide about the node again
    #[command(after_help = "Example:\n  tidegate undrain worker-3 --wait -c /etc/tidegate/tidegate.yaml")]
    Undrain(OrderArgs),
    /// Lets through what a guard holds back, for a while
    ///
    /// Recorded with who and why; it is over by itself. `tidegate status` shows which guard holds which nodes, and why: look
    /// there first. The guards of the load balancers' own probes are overridden with it. `never-empty` cannot be overridden.
    /// Needs a token.
    #[command(
        after_help = "Examples:\n  tidegate override velocity --for 10m --why 'rack 4 lost its power' -c /etc/tidegate/tidegate.yaml\n  \
        tidegate override large-drop --for 5m --why 'the new nodes.selector is meant'\n  \
        tidegate override velocity --end --why 'rack 4 is back'"
    )]
    Override(OverrideArgs),
    /// What is recorded: copies it from one store to another
    #[command(subcommand)]
    Store(StoreCommand),
    /// Takes what is ours out of the cluster: the finalizer of every Node, and the Leases
    ///
    /// Stop the controllers first, or they put it back. Without --yes it only says what it would do. The store, the
    /// agents and the traffic stay as they are. Ends with 1, and says which, when a Node or Lease could not be cleaned.
    #[command(after_help = "Examples:\n  tidegate uninstall -c /etc/tidegate/tidegate.yaml\n  \
        tidegate uninstall -c /etc/tidegate/tidegate.yaml --yes")]
    Uninstall(UninstallArgs),
    /// Prints a completion script for a shell
    #[command(after_help = "Example:\n  tidegate completions bash > /etc/bash_completion.d/tidegate")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// How output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Of what runs for long.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// How log lines are written, to standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Which log lines: error, warn, info, debug, trace, or a filter such as `info,tidegate_agent=debug`
    #[arg(long, env = "RUST_LOG", hide_env_values = true, default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

/// Of `run` and `agent`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Replace an engine configuration that somebody else wrote or edited; a copy is kept beside it
    #[arg(long)]
    pub take_over: bool,
    /// Logging
    #[command(flatten)]
    pub log: LogArgs,
}

/// Of `controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Logging
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the controller's API is.
#[derive(Clone, Debug, Args)]
pub struct ApiArgs {
    /// Address of the controller's API [default: http://127.0.0.1:8685]
    #[arg(long, env = "TIDEGATE_API", hide_env_values = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub api: Option<String>,
    /// Take the address (api.listen) from this configuration file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// Of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where to ask
    #[command(flatten)]
    pub api: ApiArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Show it again whenever it changes, until interrupted
    #[arg(long, conflicts_with = "wait")]
    pub watch: bool,
    /// Wait until every load balancer serves what is desired and nothing is held back
    #[arg(long)]
    pub wait: bool,
    /// How long to wait; then end with 3
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s", requires = "wait")]
    pub timeout: Duration,
}

/// Of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the node
    #[arg(value_parser = node_name)]
    pub node: NodeName,
    /// Where to ask
    #[command(flatten)]
    pub api: ApiArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Of `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Render this state: a desired state as JSON, or an agent's last-known-good.json
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub state: Option<PathBuf>,
    /// Render the configured listeners with two made-up nodes
    #[arg(long, conflicts_with = "state")]
    pub example: bool,
}

/// Of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Check what this role needs; otherwise the roles that the file seems to be for
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// Do not look at the files that it names
    #[arg(long)]
    pub no_files: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only changes of this node
    #[arg(value_parser = node_name)]
    pub node: Option<NodeName>,
    /// At most this many revisions, the newest
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    pub limit: u32,
    /// Where to ask
    #[command(flatten)]
    pub api: ApiArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `250ms`, `30s`, `2m`
fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(&Scalar { text: text.to_owned(), plain: true }).map_err(|wrong| wrong.cure)
}

fn guard(text: &str) -> Result<Guard, String> {
    Guard::parse(text)
}

fn node_name(text: &str) -> Result<NodeName, String> {
    NodeName::parse(text).map_err(|error| error.to_string())
}
