//! The program `nft`: loading scripts, and asking what the kernel has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::listing::{self, Listing};
use super::words;
use crate::command::{CommandLine, CommandRunner, Finished};
use crate::engine::failure::{from_command, permanent, transient};

/// 65,536 elements take 0.4 s to load and 0.7 s to list on an idle machine.
const LIMIT: Duration = Duration::from_secs(20);
/// The chain that makes a table ours: never a table of somebody else's that has our name.
const OURS: &str = "made-by-tidegate";

/// Asks and tells nft about one table, and the one of its generation.
#[derive(Clone)]
pub struct Nft {
    program: PathBuf,
    table: String,
    commands: Arc<dyn CommandRunner>,
}

impl Nft {
    /// By this program.
    pub fn new(program: &Path, table: &str, commands: Arc<dyn CommandRunner>) -> Self {
        Self { program: program.to_owned(), table: table.to_owned(), commands }
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Lets nft and the kernel look at a script; nothing changes.
    pub async fn check(&self, script: &Path) -> Result<(), Failure> {
        self.succeed(Step::Validate, &["-c".into(), "-f".into(), script.into()]).await
    }

    /// Loads a script: all of it, or nothing.
    pub async fn load(&self, script: &Path) -> Result<(), Failure> {
        self.succeed(Step::Reload, &["-f".into(), script.into()]).await
    }

    /// Runs one line of commands.
    pub async fn run(&self, step: Step, commands: &str) -> Result<(), Failure> {
        self.succeed(step, &[commands.into()]).await
    }

    /// What the kernel has in our table; nothing when there is none.
    pub async fn listing(&self) -> Result<Option<Listing>, Failure> {
        let answer = self.ask(&["list", "table", "inet", &self.table]).await?;
        answer.map(|answer| listing::read(&answer, &self.table).map_err(|e| self.malformed(&e))).transpose()
    }

    /// The generation that was loaded last; nothing when there is none.
    pub async fn generation(&self) -> Result<Option<ContentHash>, Failure> {
        let Some(answer) = self.ask(&["list", "table", "inet", &format!("{}-generation", self.table)]).await? else {
            return Ok(None);
        };
        let comments = listing::comments(&answer).map_err(|e| self.malformed(&e))?;
        Ok(comments.first().and_then(|comment| ContentHash::parse(comment).ok()))
    }

    /// Whether our table is there; a table of our name that we did not make is refused.
    pub async fn is_there(&self) -> Result<bool, Failure> {
        let failed = |e: String| self.malformed(&e);
        let tables = self.ask(&["list", "tables"]).await?.unwrap_or_default();
        if !listing::has_table(&tables, &self.table).map_err(failed)? {
            return Ok(false);
        }
        let chains = self.ask(&["list", "chains"]).await?.unwrap_or_default();
        let chains = listing::chains_of(&chains, &self.table).map_err(failed)?;
        if chains.iter().any(|chain| chain == OURS) {
            return Ok(true);
        }
        let message = format!("the nftables table inet {} was not made by tidegate", self.table);
        let cure = format!(
            "set agent.engine.nftables.table to another name; or, if nobody needs it: nft delete table inet {}",
            self.table
        );
        Err(permanent(Step::Reload, message, cure))
    }

    async fn ask(&self, words: &[&str]) -> Result<Option<String>, Failure> {
        let args: Vec<OsString> = std::iter::once("-j").chain(words.iter().copied()).map(OsString::from).collect();
        let ended = self.start(Step::Verify, &args).await?;
        match ended.success {
            true => Ok(Some(ended.output)),
            false if words::is_absent(&ended.output) => Ok(None),
            false => Err(words::from_output(Step::Verify, &ended.output)),
        }
    }

    async fn succeed(&self, step: Step, args: &[OsString]) -> Result<(), Failure> {
        let ended = self.start(step, args).await?;
        if ended.success { Ok(()) } else { Err(words::from_output(step, &ended.output)) }
    }

    async fn start(&self, step: Step, args: &[OsString]) -> Result<Finished, Failure> {
        let command = CommandLine { program: self.program.clone(), args: args.to_vec(), limit: LIMIT };
        self.commands.run(&command).await.map_err(|e| from_command(step, &e))
    }

    fn malformed(&self, detail: &str) -> Failure {
        let message = format!("{} answers what cannot be read: {detail}", self.program.display());
        transient(Step::Verify, message, "look at `nft -j list ruleset`; report the version of nft")
    }
}
