//! Pods that listeners follow, of a fake API server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tidegate_controller::{ApiFailure, FollowEvent, FollowSource};
use tidegate_core::follow::{Follow, Instance, InstanceState};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::world::name;

/// The pods of a cluster, and who watches them.
#[derive(Clone, Default)]
pub struct FakePods(Arc<Mutex<Pods>>);

#[derive(Default)]
pub struct Pods {
    objects: BTreeMap<String, Vec<Instance>>,
    /// LIST and watch fail.
    pub down: bool,
    watchers: Vec<mpsc::UnboundedSender<FollowEvent>>,
    pub watches: usize,
}

impl FakePods {
    pub fn pods(&self) -> MutexGuard<'_, Pods> {
        self.0.lock().unwrap()
    }

    pub fn set(&self, node: &str, state: InstanceState) {
        let instance = Instance { name: format!("p-{node}"), node: name(node), state, since: None };
        let mut pods = self.pods();
        let (object, instances) = (instance.name.clone(), vec![instance]);
        pods.objects.insert(object.clone(), instances.clone());
        pods.tell(&FollowEvent::Applied { object, instances });
    }

    pub fn remove(&self, node: &str) {
        let mut pods = self.pods();
        let object = format!("p-{node}");
        pods.objects.remove(&object);
        pods.tell(&FollowEvent::Deleted { object });
    }
}

impl Pods {
    fn tell(&mut self, event: &FollowEvent) {
        if !self.down {
            self.watchers.retain(|watcher| watcher.send(event.clone()).is_ok());
        }
    }

    fn listed(&self) -> FollowEvent {
        if self.down {
            return FollowEvent::Failed(ApiFailure::Answered { code: 403, message: "pods is forbidden".into() });
        }
        FollowEvent::Listed { started: Instant::now(), objects: self.objects.clone() }
    }
}

impl FollowSource for FakePods {
    fn follow(&self, _: &Follow, resync: Duration) -> mpsc::Receiver<FollowEvent> {
        let (out, receiver) = mpsc::channel(64);
        let (sender, mut events) = mpsc::unbounded_channel();
        let mut pods = self.pods();
        pods.watches += 1;
        pods.watchers.push(sender);
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                let listed = this.pods().listed();
                let is_well = matches!(listed, FollowEvent::Listed { .. });
                if out.send(listed).await.is_err() || (is_well && out.send(FollowEvent::Watching).await.is_err()) {
                    return;
                }
                let next = sleep(resync);
                tokio::pin!(next);
                loop {
                    let event = tokio::select! {
                        () = &mut next => break,
                        Some(event) = events.recv() => event,
                    };
                    if out.send(event).await.is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}
