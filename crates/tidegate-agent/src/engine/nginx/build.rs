//! What `nginx -V` says of the program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::command::{CommandError, CommandLine, CommandRunner};

/// A program that only prints its version has no reason to take longer.
const LIMIT: Duration = Duration::from_secs(10);
const MODULE: &str = "ngx_stream_module.so";

/// How the program was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// `1.22.1`
    pub version: String,
    /// The stream module's file; absent when it is compiled in.
    pub stream_module: Option<PathBuf>,
}

/// A program that cannot be used.
#[derive(Debug, Error)]
pub enum BuildError {
    /// It does not run.
    #[error(
        "asking nginx for its version: {source}; cure: apt-get install nginx libnginx-mod-stream, or set agent.engine.nginx.binary"
    )]
    Ask {
        /// Why.
        #[from]
        source: CommandError,
    },
    /// It is not nginx, as far as can be told.
    #[error("`{command}` does not say what it is: {output:?}; cure: set agent.engine.nginx.binary to an nginx")]
    NotNginx {
        /// What was run.
        command: String,
        /// What it printed.
        output: String,
    },
    /// It has no stream module.
    #[error(
        "this nginx {version} was built without the stream module; cure: apt-get install libnginx-mod-stream, or use a build with --with-stream"
    )]
    NoStream {
        /// Its version.
        version: String,
    },
}

impl BuildError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Ask { source } => source.class(),
            Self::NotNginx { .. } | Self::NoStream { .. } => ErrorClass::Permanent,
        }
    }
}

impl Build {
    /// Runs `nginx -V`.
    pub async fn ask(binary: &Path, commands: &dyn CommandRunner) -> Result<Self, BuildError> {
        let command = CommandLine { program: binary.to_owned(), args: vec!["-V".into()], limit: LIMIT };
        let output = commands.run(&command).await?.output;
        Self::parse(&output).unwrap_or_else(|| Err(BuildError::NotNginx { command: command.to_string(), output }))
    }

    /// The same without an event loop; nothing when there is no usable nginx on this machine.
    pub fn ask_now(binary: &Path) -> Option<Self> {
        let ended = std::process::Command::new(binary).arg("-V").output().ok()?;
        Self::parse(&String::from_utf8_lossy(&ended.stderr))?.ok()
    }

    /// Reads its output; nothing when that is not nginx's.
    fn parse(output: &str) -> Option<Result<Self, BuildError>> {
        let version = output.lines().find_map(|l| l.strip_prefix("nginx version: "))?;
        let version = version.split('/').nth(1).unwrap_or(version).split(' ').next()?.to_owned();
        let options: Vec<&str> = output.split_whitespace().collect();
        if options.contains(&"--with-stream") {
            return Some(Ok(Self { version, stream_module: None }));
        }
        if !options.contains(&"--with-stream=dynamic") {
            return Some(Err(BuildError::NoStream { version }));
        }
        let value = |name| options.iter().find_map(|o| o.strip_prefix(name));
        let modules = match (value("--modules-path="), value("--prefix=")) {
            (Some(path), _) => PathBuf::from(path),
            (None, prefix) => Path::new(prefix.unwrap_or("/usr/local/nginx")).join("modules"),
        };
        Some(Ok(Self { version, stream_module: Some(modules.join(MODULE)) }))
    }

    /// What Debian ships, for rendering on a machine without nginx.
    pub fn assumed() -> Self {
        Self { version: "1.22.1".to_owned(), stream_module: Some(Path::new("/usr/lib/nginx/modules").join(MODULE)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(output: &str) -> Build {
        Build::parse(output).unwrap().unwrap()
    }

    #[test]
    fn the_stream_module_is_found_where_the_build_keeps_it() {
        let debian = "nginx version: nginx/1.22.1\nconfigure arguments: --prefix=/usr/share/nginx --modules-path=/usr/lib/nginx/modules --with-stream=dynamic";
        assert_eq!(parse(debian).stream_module, Some("/usr/lib/nginx/modules/ngx_stream_module.so".into()));
        let upstream = "nginx version: nginx/1.31.4 (Ubuntu)\nconfigure arguments: --prefix=/etc/nginx --with-stream --with-stream_ssl_module";
        assert_eq!(parse(upstream), Build { version: "1.31.4".into(), stream_module: None });
    }

    #[test]
    fn a_program_that_cannot_proxy_streams_is_named() {
        let without = Build::parse("nginx version: nginx/1.22.1\nconfigure arguments: --with-stream_ssl_module");
        assert!(matches!(without, Some(Err(BuildError::NoStream { version })) if version == "1.22.1"));
        assert!(Build::parse("coreutils 9.1").is_none());
    }
}
