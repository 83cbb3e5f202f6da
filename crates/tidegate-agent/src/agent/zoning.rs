//! Whom the zone of this machine sets aside.

use std::sync::Arc;

use tidegate_core::desired::{Backend, DesiredState, Listener};
use tidegate_core::ids::ListenerName;
use tidegate_core::node::Zone;
use tidegate_core::probe::Overlay;
use tidegate_core::zones::Zoning;

use super::content::Content;

/// The zone's side of the mailbox.
pub struct Neighbourhood {
    zoning: Zoning,
    aside: Arc<Overlay>,
}

impl Neighbourhood {
    /// Begins with whom an earlier process had set aside.
    pub fn start(zone: Option<Zone>, newest: Option<&Content>) -> Self {
        match newest {
            Some(content) => {
                let zoning = Zoning::resumed(zone, &content.desired, &content.aside);
                Self { zoning, aside: content.aside.clone() }
            }
            None => Self { zoning: Zoning::new(zone), aside: Arc::default() },
        }
    }

    /// Who is set aside.
    pub fn aside(&self) -> Arc<Overlay> {
        self.aside.clone()
    }

    /// Judges the backends of a state by whether they answer; whether others are set aside now.
    pub fn judge(&mut self, desired: &DesiredState, is_up: impl Fn(&Listener, &Backend) -> bool) -> bool {
        let aside = self.zoning.judge(desired, is_up);
        let changed = aside != *self.aside;
        if changed {
            for listener in &desired.listeners {
                self.tell(desired, &listener.name, &aside);
            }
            self.aside = Arc::new(aside);
        }
        changed
    }

    fn tell(&self, desired: &DesiredState, listener: &ListenerName, next: &Overlay) {
        let count = |of: &Overlay| desired.pool(listener).iter().filter(|b| of.is_out(listener, b.address)).count();
        let (before, now) = (count(&self.aside), count(next));
        if before != now && self.zoning.is_abroad(listener) {
            tracing::warn!(%listener, "too few backends of this machine's zone are up: every zone is served");
        } else if before != now {
            tracing::info!(%listener, aside = now, "backends of other zones get no new connections");
        }
    }
}
