//! `bench engines`: every engine beside its bare self, in one run.

mod change;
mod data_plane;
mod large;
mod machine;
mod report;

use std::path::Path;

use anyhow::{Result, bail};
use fs_err as fs;
use jiff::Zoned;
use tidegate_core::engine::EngineKind;

use report::{Figures, Tables};

/// More running processes than this before a run, and its figures are not to be believed.
const QUIET: f64 = 0.7;
const NAMES: &str = "nginx, haproxy, envoy, nftables";

/// Engines.
#[derive(Debug, clap::Args)]
pub struct Engines {
    /// Only this one; may be repeated. docs/benchmarks.md is written when all are measured, and not by --quick.
    #[arg(long = "engine", value_parser = parse_engine)]
    only: Vec<EngineKind>,
    /// A few changes of each kind: to see whether it works.
    #[arg(long)]
    quick: bool,
    /// Node changes for each of Tidegate and the bare engine.
    #[arg(long, default_value_t = 30)]
    changes: usize,
    /// Backends for the single change in a large pool.
    #[arg(long, default_value_t = 5_000)]
    backends: u16,
}

/// Latency of a change.
#[derive(Debug, clap::Args)]
pub struct Latency {
    /// How many changes for each of the two.
    #[arg(long, default_value_t = 200)]
    changes: usize,
    #[arg(long, default_value = "nginx", value_parser = parse_engine)]
    engine: EngineKind,
}

impl Latency {
    pub async fn measure(&self) -> Result<()> {
        let change = change::Run::start(self.engine).await?.measure(self.changes).await?;
        let figures = [Figures { engine: self.engine, change, large: None, data_plane: [None, None] }];
        println!("{}", Tables { figures: &figures, backends: 0 });
        Ok(())
    }
}

impl Engines {
    pub async fn measure(&self) -> Result<()> {
        let before = machine::load()?;
        if before > QUIET {
            eprintln!("warning: {before} processes want to run already; the figures will be disturbed");
        }
        let all = [EngineKind::Nginx, EngineKind::Haproxy, EngineKind::Envoy, EngineKind::Nftables];
        let chosen = if self.only.is_empty() { all.to_vec() } else { self.only.clone() };
        let mut figures = Vec::new();
        for engine in chosen {
            eprintln!("{engine} ...");
            figures.push(self.one(engine).await?);
        }
        let tables = Tables { figures: &figures, backends: self.backends };
        println!("{tables}");
        if self.only.is_empty() && !self.quick {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
            fs::write(&path, document(&tables, before)?)?;
            println!("written: docs/benchmarks.md");
        }
        Ok(())
    }

    async fn one(&self, engine: EngineKind) -> Result<Figures> {
        let (changes, large, rounds, seconds) =
            if self.quick { (self.changes / 4, 4, 1, 1) } else { (self.changes, 20, 3, 3) };
        let mut run = change::Run::start(engine).await?;
        let change = run.measure(changes).await?;
        let mut data_plane = [None, None];
        for (slot, reuse) in data_plane.iter_mut().zip([true, false]) {
            *slot = Some(data_plane::measure(&run.scene, reuse, rounds, seconds).await?);
        }
        drop(run);
        let large = Some(large::measure(engine, self.backends, large).await?);
        Ok(Figures { engine, change, large, data_plane })
    }
}

fn document(tables: &Tables<'_>, before: f64) -> Result<String> {
    let disturbed = if before > QUIET {
        format!("\n**The machine was not quiet: {before} processes wanted to run before the first measurement.**\n")
    } else {
        String::new()
    };
    Ok(format!(
        "# Benchmarks

Written by `cargo xtask bench engines`; do not edit. Medians and p99 of the run of {}, as a release build. Every ratio is to a baseline of the
same run, measured in turn: use the ratios. Goals that are missed say so.

{}
{disturbed}
{tables}",
        Zoned::now().date(),
        machine::describe()?
    ))
}

pub(super) fn parse_engine(name: &str) -> Result<EngineKind> {
    let known = EngineKind::ALL.into_iter().find(|engine| engine.as_str() == name && *engine != EngineKind::Custom);
    match known {
        Some(engine) => Ok(engine),
        None => bail!("there is no engine {name} to measure; there are {NAMES}"),
    }
}
