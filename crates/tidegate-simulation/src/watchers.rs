//! Who watches one kind of object.

use tokio::sync::mpsc::UnboundedSender;

use crate::fault::Fault;
use crate::parties::ReplicaId;
use crate::weather::Weather;

#[derive(Debug)]
struct Watcher<E> {
    replica: ReplicaId,
    events: UnboundedSender<E>,
}

/// Every watch of one kind of object.
#[derive(Debug)]
pub(crate) struct Watchers<E>(Vec<Watcher<E>>);

impl<E> Default for Watchers<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E: Clone> Watchers<E> {
    pub(crate) fn watch(&mut self, replica: ReplicaId, events: UnboundedSender<E>) {
        self.0.push(Watcher { replica, events });
    }

    /// Sends an event to all that do not lose it; who listens no more is forgotten.
    pub(crate) fn tell(&mut self, event: &E, weather: &Weather) {
        self.0.retain(|watcher| {
            let lost = weather.has(Fault::WatchDrops { replica: watcher.replica });
            if lost { !watcher.events.is_closed() } else { watcher.events.send(event.clone()).is_ok() }
        });
    }

    /// Sends an event to the watches of one controller.
    pub(crate) fn tell_one(&self, replica: ReplicaId, event: &E) {
        for watcher in self.0.iter().filter(|watcher| watcher.replica == replica) {
            drop(watcher.events.send(event.clone()));
        }
    }
}
