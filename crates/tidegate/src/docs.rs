//! Generated documents; a test fails when the files in `docs/` are stale.

mod command_line;
mod configuration;
mod eligibility;
mod metrics;

pub use command_line::cli_markdown;
pub use configuration::config_markdown;
pub use eligibility::eligibility_markdown;
pub use metrics::metrics_markdown;

use crate::config::schema::schema_text;

/// Every generated file: its path from the root of the repository, and its content.
pub fn generated() -> [(&'static str, String); 4] {
    [
        ("docs/config.md", config_markdown()),
        ("docs/cli.md", cli_markdown()),
        ("docs/eligibility.md", eligibility_markdown()),
        ("docs/schema/tidegate.schema.json", schema_text()),
    ]
}

/// How the generated files are brought up to date.
pub const REGENERATE: &str = "UPDATE_DOCS=1 cargo test -p tidegate --test generated";
