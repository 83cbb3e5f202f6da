//! An engine that fails on purpose.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use tidegate_agent::agent::Parts;
use tidegate_agent::connections::{Connections, CountError};
use tidegate_agent::engine::{Confirmation, Engine, Pulse, Render, Rendering, Serving};
use tidegate_agent::file::{LiveFile, Seal, seal, unseal};
use tidegate_agent::pipeline::Pipeline;
use tidegate_agent::{Agent, AgentHandle};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

/// What goes wrong, each once, in this order of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Validate,
    Reload,
    /// The engine keeps what it had and says nothing.
    ConfirmOld,
    /// The engine took the new one, but too late to be confirmed.
    ConfirmLate,
    /// Going back fails as well.
    AndReloadAgain,
    AndConfirmAgain,
}

#[derive(Debug, Default)]
pub struct World {
    /// What the engine serves.
    pub serving: Option<ContentHash>,
    pub faults: VecDeque<Fault>,
    pub class: Option<ErrorClass>,
    /// Calls that a real engine would answer with a command.
    pub commands: usize,
    /// What it was asked to count, each time.
    pub counted: Vec<HashSet<SocketAddr>>,
    /// Whether it cannot count.
    pub blind: bool,
}

pub struct Faulty {
    pub live_path: PathBuf,
    pub world: Arc<Mutex<World>>,
}

impl Faulty {
    fn strikes(world: &mut World, faults: &[Fault]) -> Option<Fault> {
        let next = world.faults.front().copied().filter(|f| faults.contains(f))?;
        world.faults.pop_front();
        Some(next)
    }

    fn failure(world: &World, step: Step) -> Failure {
        let class = world.class.unwrap_or(ErrorClass::Permanent);
        Failure { step, class, message: format!("{step} fails on purpose"), cure: "none".into() }
    }
}

impl Render for Faulty {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        let body = serde_json::to_string_pretty(&(&state.listeners, &state.pools)).unwrap();
        let generation = ContentHash::of_bytes(body.as_bytes());
        Ok(Rendering { generation, text: seal(&generation, &body) })
    }
}

#[async_trait]
impl Engine for Faulty {
    fn kind(&self) -> EngineKind {
        EngineKind::Custom
    }

    fn version(&self) -> Option<String> {
        None
    }

    fn template(&self) -> Option<&Path> {
        None
    }

    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        let mut world = self.world.lock().unwrap();
        world.commands += 1;
        assert!(matches!(unseal(&std::fs::read_to_string(candidate).unwrap()), Seal::Whole(_)));
        match Self::strikes(&mut world, &[Fault::Validate]) {
            Some(_) => Err(Self::failure(&world, Step::Validate)),
            None => Ok(()),
        }
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        let mut world = self.world.lock().unwrap();
        world.commands += 1;
        if Self::strikes(&mut world, &[Fault::Reload, Fault::AndReloadAgain]).is_some() {
            return Err(Self::failure(&world, Step::Reload));
        }
        let fault = Self::strikes(&mut world, &[Fault::ConfirmOld, Fault::ConfirmLate, Fault::AndConfirmAgain]);
        if !matches!(fault, Some(Fault::ConfirmOld | Fault::AndConfirmAgain)) {
            let Seal::Whole(found) = unseal(&std::fs::read_to_string(&self.live_path).unwrap()) else {
                panic!("told to load a file that is not whole")
            };
            assert_eq!(found, generation);
            world.serving = Some(found);
        }
        Ok(Box::new(Confirm(fault.map(|_| Self::failure(&world, Step::Verify)))))
    }

    async fn serving(&self) -> Serving {
        match self.world.lock().unwrap().serving {
            Some(generation) => Serving::Exactly(generation),
            None => Serving::Silent { reason: "nothing was ever loaded".into() },
        }
    }

    async fn stop(&self) -> Result<(), Failure> {
        let mut world = self.world.lock().unwrap();
        world.commands += 1;
        world.serving = None;
        Ok(())
    }

    fn pulse(&self) -> Pulse {
        Pulse::Running { old_generations: 0 }
    }

    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        let mut world = self.world.lock().unwrap();
        world.counted.push(to);
        if world.blind {
            return Err(CountError::Open { source: std::io::ErrorKind::PermissionDenied.into() });
        }
        Ok(Some(Connections::default()))
    }
}

struct Confirm(Option<Failure>);

#[async_trait]
impl Confirmation for Confirm {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }
}

/// An agent that drives it.
pub struct Site {
    _dir: tempfile::TempDir,
    pub file: LiveFile,
    pub engine: Arc<Faulty>,
    pub world: Arc<Mutex<World>>,
    pub registry: Registry,
}

impl Site {
    pub async fn new() -> (Self, AgentHandle) {
        let dir = tempfile::tempdir().unwrap();
        let live_path = dir.path().join("live.conf");
        let world = Arc::new(Mutex::new(World::default()));
        let engine = Arc::new(Faulty { live_path: live_path.clone(), world: world.clone() });
        let file = LiveFile::new(live_path, false);
        let pipeline = Pipeline { engine: engine.clone(), file: file.clone(), hook: Arc::new(|_| {}) };
        let parts = Parts::with_engine(dir.path().join("state"), pipeline, Duration::ZERO).unwrap();
        let mut registry = Registry::default();
        let agent = Agent::start_with(parts, &mut registry).await.unwrap();
        (Self { _dir: dir, file, engine, world, registry }, agent)
    }
}
