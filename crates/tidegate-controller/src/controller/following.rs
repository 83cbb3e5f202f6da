//! What the listeners follow, brought together from every LIST and watch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate_core::follow::{Follow, FollowView};
use tidegate_core::guard::Freshness;
use tidegate_core::status::FollowStatus;
use tokio::time::Instant;

use super::input::Input;
use super::tasks::Tasks;
use super::{Inputs, Shared};
use crate::follow_source::FollowEvent;

/// Everything that is followed.
pub(super) struct Following {
    views: BTreeMap<Follow, FollowView>,
    sources: BTreeMap<Follow, Source>,
    limit: Duration,
}

#[derive(Debug, Default)]
struct Source {
    /// When the last LIST that finished had been started.
    listed: Option<Instant>,
    /// The latest failure, until the watch goes on.
    trouble: Option<String>,
}

impl Following {
    /// Starts to follow what the listeners ask for; listeners that follow the same share one watch.
    pub(super) fn start(shared: &Shared, inputs: &Inputs, tasks: &Tasks) -> Self {
        let demands = &shared.settings.policy.demands;
        let follows: BTreeSet<Follow> = demands.iter().filter_map(|demand| demand.follow.clone()).collect();
        for follow in &follows {
            let mut events = shared.follows.follow(follow, shared.settings.resync);
            let (inputs, follow) = (inputs.clone(), follow.clone());
            tasks.spawn(async move {
                while let Some(event) = events.recv().await {
                    let input = Input::Followed { follow: follow.clone(), event, received: Instant::now() };
                    if inputs.send(input).await.is_err() {
                        return;
                    }
                }
            });
        }
        let limit = shared.settings.freshness_limit();
        let sources = follows.iter().map(|follow| (follow.clone(), Source::default())).collect();
        Self { views: follows.into_iter().map(|follow| (follow, FollowView::default())).collect(), sources, limit }
    }

    pub(super) const fn views(&self) -> &BTreeMap<Follow, FollowView> {
        &self.views
    }

    /// Takes in what was heard; answers whether there is something to decide.
    pub(super) fn take(&mut self, follow: &Follow, event: FollowEvent) -> bool {
        let (Some(view), Some(source)) = (self.views.get_mut(follow), self.sources.get_mut(follow)) else {
            return false;
        };
        match event {
            FollowEvent::Listed { started, objects } => {
                source.listed = Some(started);
                view.replace(objects)
            }
            FollowEvent::Applied { object, instances } => view.observe(object, instances),
            FollowEvent::Deleted { object } => view.forget(&object),
            FollowEvent::Failed(cause) => source.trouble.replace(cause.to_string()).is_none(),
            FollowEvent::Watching => source.trouble.take().is_some(),
        }
    }

    /// Looks at the clock; answers whether a view has become too old, or is not any more.
    pub(super) fn age(&mut self) -> bool {
        let mut changed = false;
        for (follow, view) in &mut self.views {
            let problem = self.sources.get(follow).and_then(|source| source.problem(self.limit));
            changed |= view.doubt(problem.map(|problem| format!("{follow}: {problem}")));
        }
        changed
    }

    /// When a view becomes too old.
    pub(super) fn expiry(&self) -> Option<Instant> {
        let now = Instant::now();
        self.sources.values().filter_map(|source| Some(source.listed? + self.limit)).filter(|at| *at > now).min()
    }

    /// As the status shows it.
    pub(super) fn statuses(&self) -> Vec<FollowStatus> {
        let status = |(follow, view): (&Follow, &FollowView)| {
            let source = self.sources.get(follow);
            let trouble = source.and_then(|source| source.trouble.clone());
            FollowStatus {
                follow: follow.to_string(),
                ready_nodes: view.ready_nodes(),
                problem: trouble.or_else(|| view.problem().map(str::to_owned)),
            }
        };
        self.views.iter().map(status).collect()
    }
}

impl Source {
    fn problem(&self, limit: Duration) -> Option<String> {
        let list_age = self.listed?.elapsed();
        let freshness = Freshness { list_age: Some(list_age), limit, vouched: true, lists_wanted: 0 };
        let trouble = self.trouble.as_ref().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        freshness.problem_of("it").map(|problem| format!("{problem}{trouble}"))
    }
}
