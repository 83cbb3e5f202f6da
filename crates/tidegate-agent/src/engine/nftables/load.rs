//! Bringing the live file into the kernel, and proving that it is there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::change::{Change, Known};
use super::compare::{difference, surplus};
use super::listing::Listing;
use super::nft::Nft;
use super::purge::{Purge, Stale};
use super::script::Script;
use super::tracking::Tracking;
use super::{Serving, failure, sysctl};
use crate::engine::kept::Kept;

/// Up to so many backends the kernel's whole table is read back after each change: that takes as long as to ask for the
/// generation alone. Beyond, a change in place is proved by the generation that it carries, and the whole by the next audit.
const READ_BACK: usize = 1_000;

/// Our table, and what is known of it.
pub struct Kernel {
    nft: Nft,
    purge: Purge,
    tracking: Tracking,
    live_file: PathBuf,
    change_file: PathBuf,
    kept: Kept<Script>,
    known: Mutex<Option<Known>>,
    /// The rules as nft listed them after a load, and of which generation: a rule that somebody replaced differs.
    rules: Mutex<Option<(ContentHash, Rules)>>,
    there: AtomicBool,
    /// Whether the log says already what is wrong with the settings of this machine.
    told: AtomicBool,
}

type Rules = std::collections::BTreeMap<String, Vec<serde_json::Value>>;

/// A script that the kernel took.
#[derive(Debug)]
pub struct Loaded {
    script: Arc<Script>,
    /// Loaded whole: something of an earlier script may be left.
    whole: bool,
    stale: Stale,
}

impl Kernel {
    /// Looks whether the table is there.
    pub async fn new(nft: Nft, purge: Purge, live_file: PathBuf, state_dir: &Path) -> Self {
        let there = nft.is_there().await.unwrap_or(false);
        let tracking = Tracking::new(nft.clone(), purge.flows().clone(), state_dir);
        Self {
            nft,
            purge,
            tracking,
            live_file,
            change_file: state_dir.join("nftables-change.nft"),
            kept: Kept::default(),
            known: Mutex::default(),
            rules: Mutex::default(),
            there: AtomicBool::new(there),
            told: AtomicBool::new(false),
        }
    }

    /// The program.
    pub const fn nft(&self) -> &Nft {
        &self.nft
    }

    /// Connections.
    pub const fn purge(&self) -> &Purge {
        &self.purge
    }

    /// Whether the table was there when it was last looked at.
    pub fn is_there(&self) -> bool {
        self.there.load(Ordering::Relaxed)
    }

    /// Reads a script of ours, with its text.
    pub fn read(&self, file: &Path, step: Step) -> Result<(Arc<Script>, String), Failure> {
        let text = fs_err::read_to_string(file);
        let text = text.map_err(|e| failure::transient(step, e.to_string(), "free the disk (df -h)"))?;
        let read = self.kept.of(&text, |generation| Script::of(generation, &text, self.nft.table()).ok_or(()));
        let script = read.ok().flatten().map(|(_, script)| script);
        match script {
            Some(script) => Ok((script, text)),
            None => Err(failure::permanent(
                step,
                format!("{} is not as tidegate writes it", file.display()),
                "keep other programs away from the file; in a template of your own, write each command on one line",
            )),
        }
    }

    /// Loads the live file: in place when the kernel has what is remembered, whole otherwise.
    pub async fn load(&self, generation: ContentHash) -> Result<Loaded, Failure> {
        let (script, text) = self.read(&self.live_file, Step::Reload)?;
        if script.generation != generation {
            let message = format!("{} holds another generation", self.live_file.display());
            return Err(failure::transient(Step::Reload, message, "keep other programs away from the file"));
        }
        // Until a load has succeeded nothing is known.
        let known = self.known().take();
        if let Some(known) = known {
            let stale = Stale::between(&known.script, &script);
            let change = Change::between(&known, &script, &text, self.nft.table());
            match self.load_change(&change.text).await {
                Ok(()) => {
                    *self.known() = Some(change.then);
                    return Ok(Loaded { script, whole: false, stale });
                }
                Err(cause) => {
                    tracing::info!(cause = cause.message, "the kernel's table is not as remembered: loading it whole");
                }
            }
        }
        self.load_whole(script).await
    }

    async fn load_change(&self, text: &str) -> Result<(), Failure> {
        let written = fs_err::write(&self.change_file, text);
        written.map_err(|e| failure::transient(Step::Reload, e.to_string(), "free the disk (df -h)"))?;
        let loaded = self.nft.load(&self.change_file).await;
        _ = fs_err::remove_file(&self.change_file);
        loaded
    }

    async fn load_whole(&self, script: Arc<Script>) -> Result<Loaded, Failure> {
        self.nft.is_there().await?;
        self.warn_of_settings(&script);
        self.tracking.begin(&script).await;
        let loaded = self.nft.load(&self.live_file).await;
        self.tracking.end().await;
        loaded?;
        self.there.store(true, Ordering::Relaxed);
        *self.known() = Some(Known::loaded(script.clone()));
        Ok(Loaded { script, whole: true, stale: Stale::Unknown })
    }

    /// Once: what the kernel's settings will break. It is no failure, as another program may set them later.
    fn warn_of_settings(&self, script: &Script) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let binds: Vec<SocketAddr> = script.pools.values().map(|pool| pool.bind).collect();
        for problem in sysctl::problems_here(&binds) {
            tracing::warn!(message = problem.message, cure = problem.cure, "a setting of this machine");
        }
    }

    /// Compares what the kernel has with what was loaded, and ends connections that nothing leads to any more.
    pub async fn prove(&self, mut loaded: Loaded) -> Result<(), Failure> {
        if let Err(cause) = self.compare(&loaded).await {
            self.known().take();
            if loaded.whole {
                return Err(cause);
            }
            tracing::info!(cause = cause.message, "the kernel's table is not as remembered: loading it whole");
            loaded = self.load_whole(loaded.script).await?;
            self.compare(&loaded).await?;
        }
        self.purge.end(loaded.stale, &loaded.script).await;
        Ok(())
    }

    async fn compare(&self, loaded: &Loaded) -> Result<(), Failure> {
        let script = &loaded.script;
        if !loaded.whole && script.len() > READ_BACK {
            let live = self.nft.generation().await?;
            return if live == Some(script.generation) { Ok(()) } else { Err(not_live(&other_generation(live))) };
        }
        let (listing, generation) = tokio::try_join!(self.nft.listing(), self.nft.generation())?;
        let mut listing = listing.ok_or_else(|| not_live("there is no table"))?;
        if loaded.whole
            && let Some(fresh) = self.clear(script, &listing).await?
        {
            listing = fresh;
        }
        if generation != Some(script.generation) {
            return Err(not_live(&other_generation(generation)));
        }
        if let Some(how) = difference(script, &listing) {
            return Err(not_live(&how));
        }
        self.remember(script, listing);
        Ok(())
    }

    /// Deletes what earlier scripts left: an nft script can only name what it has itself.
    async fn clear(&self, script: &Script, listing: &Listing) -> Result<Option<Listing>, Failure> {
        let surplus = surplus(script, listing);
        if surplus.is_empty() {
            return Ok(None);
        }
        let table = self.nft.table();
        let delete = |what: &String| {
            let (kind, name) = what.split_once(' ').unwrap_or_default();
            format!("delete {kind} inet {table} {name}")
        };
        let commands: Vec<String> = surplus.iter().map(delete).collect();
        self.nft.run(Step::Verify, &commands.join("; ")).await?;
        self.nft.listing().await
    }

    fn remember(&self, script: &Arc<Script>, listing: Listing) {
        *self.rules() = Some((script.generation, listing.chains));
        *self.known() = Some(Known { script: script.clone(), maps: listing.maps });
    }

    /// What the kernel has, compared with the live file.
    pub async fn serving(&self) -> Serving {
        let (script, _) = match self.read(&self.live_file, Step::Verify) {
            Ok(read) => read,
            Err(failure) => return Serving::Silent { reason: failure.message },
        };
        let (listing, generation) = match tokio::try_join!(self.nft.listing(), self.nft.generation()) {
            Ok(answers) => answers,
            Err(failure) => return Serving::Silent { reason: failure.message },
        };
        self.there.store(listing.is_some(), Ordering::Relaxed);
        let Some(listing) = listing else {
            self.known().take();
            return Serving::Silent { reason: format!("there is no nftables table inet {}", self.nft.table()) };
        };
        let how = difference(&script, &listing).or_else(|| self.rules_differ(&script, &listing));
        let how = how.or_else(|| (generation != Some(script.generation)).then(|| other_generation(generation)));
        match how {
            None => {
                self.remember(&script, listing);
                Serving::Exactly(script.generation)
            }
            Some(how) => {
                self.known().take();
                Serving::Differs { how }
            }
        }
    }

    fn rules_differ(&self, script: &Script, listing: &Listing) -> Option<String> {
        let rules = self.rules();
        let (_, expected) = rules.as_ref().filter(|(generation, _)| *generation == script.generation)?;
        let wrong = expected.iter().find(|(chain, rules)| listing.chains.get(*chain) != Some(*rules));
        wrong.map(|(chain, _)| format!("a rule of chain {chain} was replaced"))
    }

    /// Sends no new connection anywhere. The chains stay: without them the kernel would translate nothing any more, and the
    /// connections that there are would break.
    pub async fn retire(&self) -> Result<(), Failure> {
        self.known().take();
        if self.nft.is_there().await? {
            let table = self.nft.table();
            let flush = |chain| format!("flush chain inet {table} {chain}");
            let commands = ["prerouting", "output", "guard"].map(flush).join("; ");
            self.nft.run(Step::Reload, &commands).await?;
        }
        self.there.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the table; it need not be there.
    pub async fn remove(&self) -> Result<(), Failure> {
        self.known().take();
        // Whatever an agent that was killed while it loaded has left.
        self.tracking.end().await;
        if self.nft.is_there().await? {
            let table = self.nft.table();
            self.nft.run(Step::Reload, &format!("delete table inet {table}; add table inet {table}-generation; delete table inet {table}-generation")).await?;
        }
        self.there.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Ends connections that could not be ended before.
    pub async fn catch_up(&self) {
        if let Ok((script, _)) = self.read(&self.live_file, Step::Verify) {
            self.purge.again(&script).await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Option<(ContentHash, Rules)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn other_generation(live: Option<ContentHash>) -> String {
    live.map_or_else(
        || "the kernel has no generation".to_owned(),
        |g| format!("the kernel has generation {}", g.short()),
    )
}

fn not_live(how: &str) -> Failure {
    let message = format!("nft took the script, but the kernel has something else: {how}");
    failure::transient(Step::Verify, message, "find out which other program changes the table (nft monitor)")
}
