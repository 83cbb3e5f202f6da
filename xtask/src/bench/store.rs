//! `bench store`: the commit of one node's change, on SQLite and on MongoDB in turn, beside a bare write and fsync.

mod log;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use fs_err as fs;
use tidegate_core::ids::ClusterName;
use tidegate_store::{MongoSettings, MongoStore, MongoTimeouts, SqliteStore, Store};
use tidegate_testbed::run;
use tidegate_testbed::servers::MongoServer;

use self::log::BenchLog;
use super::statistics::Samples;

/// A fsync costs what the disk says; the goal is about what MongoDB adds to it.
const GOAL_MS: f64 = 5.0;

/// What a commit costs.
#[derive(Debug, clap::Args)]
pub struct StoreBench {
    /// How many commits on each store.
    #[arg(long, default_value_t = 500)]
    commits: usize,
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 5_000)]
    nodes: u16,
    /// A MongoDB of your own, instead of a FerretDB on this machine; it gets the database `tidegate_bench`.
    #[arg(long, env = "TIDEGATE_TEST_MONGODB_URI")]
    uri: Option<String>,
}

impl StoreBench {
    pub async fn measure(&self) -> Result<()> {
        let scratch = run::current()?.scratch("bench-store")?;
        let cluster = ClusterName::parse("bench")?;
        let server = if self.uri.is_none() { Some(MongoServer::start().await?) } else { None };
        let uri = self.uri.clone().or_else(|| server.as_ref().map(MongoServer::uri)).unwrap_or_default();
        let mongo = MongoStore::connect(MongoSettings {
            uri,
            origin: "--uri".to_owned(),
            database: "tidegate_bench".to_owned(),
            cluster: cluster.clone(),
            timeouts: MongoTimeouts::default(),
        })?;
        let sqlite = SqliteStore::open(&scratch.path().join("bench.db"), &cluster)?;
        let mut beside = Side::open(&cluster, &sqlite, self.nodes).await?;
        let mut remote = Side::open(&cluster, &mongo, self.nodes).await?;
        let mut floor = Samples::default();
        for number in 0..self.commits {
            floor.add(bare_write(&scratch.path().join("bare"))?);
            // In turn, so that whatever else the disk does meets both.
            beside.change(number).await?;
            remote.change(number).await?;
        }
        report(&floor, &beside.took, &remote.took, self.nodes);
        let started = Instant::now();
        mongo.load().await?;
        let mongo_start = started.elapsed();
        let started = Instant::now();
        sqlite.load().await?;
        println!("start-up from the store: SQLite {:.0?}, MongoDB {mongo_start:.0?} (goal: < 1 s)", started.elapsed());
        Ok(())
    }
}

/// One store and the log on it.
struct Side<'a> {
    store: &'a dyn Store,
    log: BenchLog,
    took: Samples,
}

impl<'a> Side<'a> {
    async fn open(cluster: &ClusterName, store: &'a dyn Store, nodes: u16) -> Result<Self> {
        let log = BenchLog::fill(cluster, store, nodes).await?;
        Ok(Self { store, log, took: Samples::default() })
    }

    async fn change(&mut self, number: usize) -> Result<()> {
        let took = self.log.change(self.store, number).await?;
        self.took.add(took);
        Ok(())
    }
}

/// The least that makes a decision durable: its bytes, appended, and one fsync.
fn bare_write(path: &Path) -> Result<Duration> {
    let started = Instant::now();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&[b'x'; 512])?;
    file.sync_data()?;
    Ok(started.elapsed())
}

fn report(floor: &Samples, sqlite: &Samples, mongo: &Samples, nodes: u16) {
    println!("{} commits of one change among {nodes} nodes, durable when they answer, in turn:", sqlite.len());
    println!("{:<28}{:>9}{:>9}{:>12}", "", "p50", "p99", "p50 / bare");
    for (name, samples) in [("bare append and fsync", floor), ("SQLite", sqlite), ("MongoDB protocol", mongo)] {
        let (p50, p99) = (samples.quantile(0.5), samples.quantile(0.99));
        println!("{name:<28}{p50:>6.2} ms{p99:>6.2} ms{:>12.2}", p50 / floor.quantile(0.5));
    }
    let added = mongo.quantile(0.5) - sqlite.quantile(0.5);
    let verdict = if added <= GOAL_MS { "met" } else { "MISSED" };
    println!("MongoDB adds {added:.2} ms at the median (goal: <= {GOAL_MS} ms: {verdict})");
}
