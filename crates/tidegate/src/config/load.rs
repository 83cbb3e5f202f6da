//! Opening a configuration file for a role, or for examination.
// A path to a method of `Validator` fixes its lifetime too early.
#![allow(clippy::redundant_closure_for_method_calls)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::ClusterName;

use super::problem::{Problem, Problems, Severity, Spot};
use super::raw::RawConfig;
use super::read::Read as _;
use super::validate::{Validator, value_or};
use super::{AgentConfig, ControllerConfig, Role, RunConfig, StoreConfig, defaults, files, tree};

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file {} cannot be read: {source}; cure: pass the file with -c, readable for this user", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content is wrong.
    #[error("{}", describe(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// Only a person can put a configuration right.
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// One line for each problem, and one that counts them.
pub fn describe(path: &Path, problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}:{problem}", path.display());
    }
    let count = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(plural(errors, "problem"));
    }
    if warnings > 0 {
        parts.push(plural(warnings, "warning"));
    }
    let _ = write!(text, "{}: {}", path.display(), parts.join(", "));
    text
}

/// A configuration, and what somebody should look at.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub config: T,
    /// Nothing among it keeps Tidegate from running.
    pub warnings: Vec<Problem>,
}

/// Opens the file for `tidegate run`.
pub fn load_run(path: &Path) -> Result<Loaded<RunConfig>, ConfigError> {
    load(path, Role::Run, |v| v.run())
}

/// Opens the file for `tidegate controller`.
pub fn load_controller(path: &Path) -> Result<Loaded<ControllerConfig>, ConfigError> {
    load(path, Role::Controller, |v| v.controller())
}

/// Opens the file for `tidegate agent`.
pub fn load_agent(path: &Path) -> Result<Loaded<AgentConfig>, ConfigError> {
    load(path, Role::Agent, |v| v.agent())
}

/// Where the API of a controller with this file listens; for commands that only need to ask it.
pub fn load_api_listen(path: &Path) -> Result<SocketAddr, ConfigError> {
    let raw = sections(path)?;
    Ok(value_or(raw.api.as_ref().and_then(|api| api.listen.as_ref()), defaults::API_LISTEN))
}

/// Which file holds the token of that API, if there is one.
pub fn load_token_file(path: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let raw = sections(path)?;
    let token = raw.api.as_ref().and_then(|api| api.token_file.as_ref());
    Ok(token.map(|file| folder(path).join(&file.value.0)))
}

/// The sections as they are written, however little else can be made of them.
fn sections(path: &Path) -> Result<RawConfig, ConfigError> {
    let mut problems = Problems::default();
    let raw = parse(&read(path)?, &mut problems);
    raw.ok_or_else(|| ConfigError::Invalid { path: path.to_owned(), problems: problems.into_sorted() })
}

/// Opens the file for what undoes a controller's work, whichever role runs one. The files that it names are not looked at.
pub fn load_controlling(path: &Path) -> Result<ControllerConfig, ConfigError> {
    let mut problems = Problems::default();
    let base = folder(path);
    let config = parse(&read(path)?, &mut problems).and_then(|raw| {
        let mut validator = Validator { raw: &raw, base: &base, problems: &mut problems };
        if likely_roles(&raw) == [Role::Run] {
            return validator.run().map(|config| config.controller);
        }
        validator.controller()
    });
    finish(path, config, problems).map(|loaded| loaded.config)
}

/// What `tidegate render` needs.
#[derive(Debug)]
pub struct Renderable {
    /// The agent whose engine configuration is rendered.
    pub agent: AgentConfig,
    /// Where the state comes from; absent in a file that is only for an agent.
    pub controller: Option<ControllerConfig>,
}

/// Opens the file for `tidegate render`. The files that it names are not looked at.
pub fn load_render(path: &Path) -> Result<Renderable, ConfigError> {
    let mut problems = Problems::default();
    let base = folder(path);
    let renderable = parse(&read(path)?, &mut problems).and_then(|raw| {
        let mut validator = Validator { raw: &raw, base: &base, problems: &mut problems };
        if likely_roles(&raw) == [Role::Run] {
            let RunConfig { controller, agent } = validator.run()?;
            return Some(Renderable { agent, controller: Some(controller) });
        }
        Some(Renderable { agent: validator.render_agent()?, controller: None })
    });
    finish(path, renderable, problems).map(|loaded| loaded.config)
}

/// Opens the file for what needs only the store.
pub fn load_store(path: &Path) -> Result<(ClusterName, StoreConfig), ConfigError> {
    let mut problems = Problems::default();
    let base = folder(path);
    let found = parse(&read(path)?, &mut problems)
        .and_then(|raw| Validator { raw: &raw, base: &base, problems: &mut problems }.recorded());
    finish(path, found, problems).map(|loaded| loaded.config)
}

fn finish<T>(path: &Path, config: Option<T>, problems: Problems) -> Result<Loaded<T>, ConfigError> {
    match config.filter(|_| !problems.has_errors()) {
        Some(config) => Ok(Loaded { config, warnings: problems.into_sorted() }),
        None => Err(ConfigError::Invalid { path: path.to_owned(), problems: problems.into_sorted() }),
    }
}

fn load<T>(
    path: &Path,
    role: Role,
    validate: impl FnOnce(&mut Validator<'_>) -> Option<T>,
) -> Result<Loaded<T>, ConfigError> {
    let text = read(path)?;
    let base = folder(path);
    let mut problems = Problems::default();
    let config = parse(&text, &mut problems).and_then(|raw| {
        let config = validate(&mut Validator { raw: &raw, base: &base, problems: &mut problems });
        files::inspect(&raw, &base, role, false, &mut problems);
        config
    });
    finish(path, config, problems)
}

/// What `tidegate check` finds.
#[derive(Debug)]
pub struct Examined {
    /// The roles that the file was examined for.
    pub roles: Vec<Role>,
    /// Everything that is wrong or worth a look.
    pub problems: Vec<Problem>,
}

/// Examines the file for one role, or for those that it seems to be written for. `files`: whether to
/// look at the files that it names.
pub fn examine(path: &Path, role: Option<Role>, files: bool) -> Result<Examined, ConfigError> {
    Ok(examine_text(&read(path)?, &folder(path), role, files))
}

/// [`examine`] for a text; relative paths start at `base`.
pub fn examine_text(text: &str, base: &Path, role: Option<Role>, files: bool) -> Examined {
    let mut problems = Problems::default();
    let mut roles: Vec<Role> = role.into_iter().collect();
    if let Some(raw) = parse(text, &mut problems) {
        if roles.is_empty() {
            roles = likely_roles(&raw);
        }
        for role in &roles {
            let mut validator = Validator { raw: &raw, base, problems: &mut problems };
            match role {
                Role::Run => drop(validator.run()),
                Role::Controller => drop(validator.controller()),
                Role::Agent => drop(validator.agent()),
            }
            if files {
                files::inspect(&raw, base, *role, true, &mut problems);
            }
        }
    }
    Examined { roles, problems: problems.into_sorted() }
}

/// What the sections of a file say about who will read it.
fn likely_roles(raw: &RawConfig) -> Vec<Role> {
    let controls = raw.store.is_some() || raw.listeners.is_some() || raw.nodes.is_some();
    match (raw.load_balancers.is_some(), raw.agent.is_some()) {
        (true, true) => vec![Role::Controller, Role::Agent],
        (true, false) => vec![Role::Controller],
        (false, true) if !controls => vec![Role::Agent],
        (false, _) => vec![Role::Run],
    }
}

fn parse(text: &str, problems: &mut Problems) -> Option<RawConfig> {
    match tree::parse(text) {
        Ok(root) => RawConfig::read(&root, &Spot::document(), problems),
        Err(problem) => {
            let spot = Spot { place: problem.place, path: problem.path };
            problems.error(&spot, problem.message, problem.cure);
            None
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

/// The folder of the file, as an absolute path where possible: the process may change its own.
fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}
