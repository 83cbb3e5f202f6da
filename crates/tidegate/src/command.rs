//! What the commands do that end by themselves.

pub mod check;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod migrate;
pub mod order;
pub mod override_guard;
pub mod render;
pub mod status;
pub mod uninstall;

use tidegate_core::order::OrderKind;

use crate::cli::{Cli, Command, StoreCommand};
use crate::config::schema::schema_text;
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, print};
use crate::serve;

/// Runs a command to its end.
pub fn execute(cli: Cli) -> Result<Exit, CommandError> {
    let screen = Screen::stdout();
    match cli.command {
        Command::Run(args) => serve::run(&args),
        Command::Controller(args) => serve::controller(&args),
        Command::Agent(args) => serve::agent(&args),
        Command::Status(args) => block_on(status::status(&args, screen)),
        Command::Explain(args) => block_on(explain::explain(&args, screen)),
        Command::History(args) => block_on(history::history(&args, screen)),
        Command::Render(args) => block_on(render::render(&args)),
        Command::Check(args) => check::check(&args, screen),
        Command::Doctor(args) => block_on(doctor::doctor(&args, screen)),
        Command::Drain(args) => block_on(order::order(OrderKind::Drain, &args, screen)),
        Command::Undrain(args) => block_on(order::order(OrderKind::Undrain, &args, screen)),
        Command::Override(args) => block_on(override_guard::override_guard(&args, screen)),
        Command::Store(StoreCommand::Migrate(args)) => block_on(migrate::migrate_store(&args, screen)),
        Command::Uninstall(args) => block_on(uninstall::uninstall(&args, screen)),
        Command::Schema => done(print(&schema_text())),
        Command::Completions { shell } => completions(shell),
    }
}

fn done(written: std::io::Result<()>) -> Result<Exit, CommandError> {
    written.map(|()| Exit::Fine).map_err(CommandError::Write)
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut <Cli as clap::CommandFactory>::command(), "tidegate", &mut script);
    done(print(&String::from_utf8_lossy(&script)))
}

fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}
