//! Starting other programs: by argument list, never by a shell, with a limit on time.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tokio::process::Command;

/// One program with its arguments.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// A path, or a name that is searched in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// It is killed when it takes longer.
    pub limit: Duration,
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", arg.to_string_lossy()))
    }
}

/// Where a program is: a path stays as it is, a name is searched in PATH; one that is not found stays as well.
pub fn located(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| program.to_owned())
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Whether it ended with status 0.
    pub success: bool,
    /// Its standard output and standard error, in this order.
    pub output: String,
}

/// A program that did not run to its end.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("starting `{command}`: {source}")]
    Start {
        /// What was to run.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("`{command}` did not end within {} ms and was killed", limit.as_millis())]
    TimedOut {
        /// What ran.
        command: String,
        /// The limit.
        limit: Duration,
    },
}

impl CommandError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorClass::Permanent,
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => ErrorClass::Permanent,
            Self::Start { .. } | Self::TimedOut { .. } => ErrorClass::Transient,
        }
    }

    /// What a person can do.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Start { .. } => {
                "install the program (docs/engines.md names the package of each engine), or set its path in agent.engine"
            }
            Self::TimedOut { .. } => "look at the load of the machine; run the command by hand",
        }
    }
}

/// Runs programs. The seam at which tests count commands or make them fail.
#[async_trait]
pub trait CommandRunner: Send + Sync {
    /// Runs a program to its end and captures its output.
    async fn run(&self, command: &CommandLine) -> Result<Finished, CommandError>;
}

/// Runs programs of the operating system, with an environment of nothing but PATH.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemCommands;

#[async_trait]
impl CommandRunner for SystemCommands {
    async fn run(&self, command: &CommandLine) -> Result<Finished, CommandError> {
        let mut process = Command::new(&command.program);
        // nginx takes listening sockets from a variable called NGINX; other engines have the like.
        process.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        process.args(&command.args).current_dir("/").kill_on_drop(true);
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| CommandError::Start { command: command.to_string(), source };
        let child = process.spawn().map_err(failed)?;
        let Ok(ended) = tokio::time::timeout(command.limit, child.wait_with_output()).await else {
            return Err(CommandError::TimedOut { command: command.to_string(), limit: command.limit });
        };
        let ended = ended.map_err(failed)?;
        let text = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(Finished { success: ended.status.success(), output: text.join("\n").trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, args: &[&str], limit: Duration) -> CommandLine {
        CommandLine { program: program.into(), args: args.iter().map(Into::into).collect(), limit }
    }

    #[tokio::test]
    async fn arguments_reach_the_program_as_they_are() {
        let hostile = command("/bin/echo", &["$(id)", "; false", "a b"], Duration::from_secs(5));
        let ended = SystemCommands.run(&hostile).await.unwrap();
        assert_eq!(ended, Finished { success: true, output: "$(id) ; false a b".into() });
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed() {
        let start = std::time::Instant::now();
        let error = SystemCommands.run(&command("sleep", &["60"], Duration::from_millis(50))).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_permanent_failure() {
        let error = SystemCommands.run(&command("/nowhere/nginx", &[], Duration::from_secs(1))).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Permanent);
        assert!(error.to_string().contains("/nowhere/nginx"));
    }
}
