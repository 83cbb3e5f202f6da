//! Ending connections whose backend has left the state, at once or later.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::flows::Flows;
use super::routes::Route;
use super::script::Script;

/// Routes that a load closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// These.
    Routes(BTreeSet<Route>),
    /// It is not known what was there before: every connection of ours is looked at.
    Unknown,
}

impl Stale {
    /// What the one script had and the other has not.
    pub fn between(before: &Script, now: &Script) -> Self {
        let routes = now.routes();
        Self::Routes(before.routes().into_iter().filter(|route| !routes.contains(route)).collect())
    }
}

/// Ends connections, and remembers those that it could not.
pub struct Purge {
    flows: Flows,
    due: Mutex<Due>,
}

/// What is still to be done.
#[derive(Debug)]
struct Due {
    routes: BTreeSet<Route>,
    /// After a start: whatever an agent that was killed had left.
    all: bool,
    /// Whether the log says already that it cannot be done.
    told: bool,
}

impl Purge {
    /// Of these connections.
    pub fn new(flows: Flows) -> Self {
        Self { flows, due: Mutex::new(Due { routes: BTreeSet::new(), all: true, told: false }) }
    }

    /// The connections.
    pub const fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Whether something is left to be done.
    pub fn is_due(&self) -> bool {
        let due = self.due();
        due.all || !due.routes.is_empty()
    }

    /// Ends what takes a route that is closed. A failure is no failure of the change, which is live: it is tried again.
    pub async fn end(&self, stale: Stale, script: &Script) {
        match stale {
            Stale::Routes(routes) if routes.is_empty() => return,
            Stale::Routes(routes) => self.due().routes.extend(routes),
            Stale::Unknown => self.due().all = true,
        }
        self.again(script).await;
    }

    /// Does what is due.
    pub async fn again(&self, script: &Script) {
        let (mut routes, all) = {
            let mut due = self.due();
            (std::mem::take(&mut due.routes), std::mem::take(&mut due.all))
        };
        if all {
            match self.flows.stray(script).await {
                Ok(stray) => routes.extend(stray),
                Err(failure) => self.postpone(None, &failure.message, &failure.cure),
            }
        }
        // A backend that came back in the meantime keeps what it has.
        for route in routes.into_iter().filter(|route| !script.allows(route)) {
            if let Err(failure) = self.flows.end(&route).await {
                self.postpone(Some(route), &failure.message, &failure.cure);
            }
        }
    }

    fn postpone(&self, route: Option<Route>, message: &str, cure: &str) {
        let mut due = self.due();
        match route {
            Some(route) => drop(due.routes.insert(route)),
            None => due.all = true,
        }
        if !std::mem::replace(&mut due.told, true) {
            tracing::warn!(message, cure, "connections of a backend that is gone cannot be ended yet");
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
