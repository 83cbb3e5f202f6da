//! The task that asks: one for all targets, with a bounded number of sockets.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, future};
use jiff::Timestamp;
use tidegate_core::probe::{Answer, Check, Tally, Target, Verdict};
use tidegate_core::protocol::Sickness;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::ask::{Question, Trouble, ask, ask_opening};
use super::knock::{Knocks, open};
use super::schedule::{Schedule, Turn};
use super::source::Sources;

/// Questions at a time. Only those that nobody answers take long: this many dead backends are still asked in time.
const AT_A_TIME: usize = 512;
/// How long the last question that could not be asked is remembered.
const SICK_FOR: Duration = Duration::from_secs(2);

/// What is known of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// By the latest answers.
    pub verdict: Verdict,
    /// Since when.
    pub since: Timestamp,
    /// The failure that led to it.
    pub trouble: Option<String>,
}

/// What the prober has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Targets whose verdict is another one now.
    Verdicts(Vec<(Target, Report)>),
    /// It cannot ask, or can again.
    Sick(Option<Sickness>),
}

/// What is to be asked.
#[derive(Clone, Debug, Default)]
struct Wanted {
    targets: Arc<BTreeSet<Target>>,
    /// Those of the first set that an earlier process found dead.
    down: Arc<BTreeSet<Target>>,
}

/// The prober, as others see it. It ends when this is dropped.
#[derive(Debug)]
pub struct Prober {
    wanted: watch::Sender<Wanted>,
    news: mpsc::Receiver<News>,
}

impl Prober {
    /// Starts asking whoever will be named.
    pub fn start(sources: Sources) -> Self {
        let (wanted, heard) = watch::channel(Wanted::default());
        let (sender, news) = mpsc::channel(64);
        let task = Task {
            wanted: heard,
            news: sender,
            sources,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            schedule: Schedule::default(),
            knocks: Knocks::default(),
            running: FuturesUnordered::new(),
            changed: Vec::new(),
            health: Health::default(),
            lives: 0,
            begun: false,
        };
        tokio::spawn(task.run());
        Self { wanted, news }
    }

    /// Asks these from now on. Whoever is new is asked at once, except in the first set.
    pub fn want(&self, targets: Arc<BTreeSet<Target>>) {
        self.wanted.send_modify(|wanted| wanted.targets = targets);
    }

    /// The first set, some of which were found dead by an earlier process.
    pub fn begin(&self, targets: Arc<BTreeSet<Target>>, down: BTreeSet<Target>) {
        self.wanted.send_replace(Wanted { targets, down: Arc::new(down) });
    }

    /// The next news; waits for ever when there can be none.
    pub async fn news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => future::pending().await,
        }
    }
}

struct Slot {
    target: Arc<Target>,
    tally: Tally,
    /// Whether its verdict was told: what an earlier process knew is told with the first answer.
    told: bool,
    life: u64,
}

/// Whether questions can be asked at all.
#[derive(Default)]
struct Health {
    sick: Option<Sickness>,
    last_trouble: Option<Instant>,
    /// Whether that was the latest news.
    told: bool,
}

struct Task {
    wanted: watch::Receiver<Wanted>,
    news: mpsc::Sender<News>,
    sources: Sources,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    index: HashMap<Arc<Target>, usize>,
    schedule: Schedule,
    /// Questions whose connection is being opened.
    knocks: Knocks,
    /// Questions over connections that stand, and first questions.
    running: FuturesUnordered<BoxFuture<'static, (Question, Answer)>>,
    changed: Vec<(Target, Report)>,
    health: Health,
    /// Tells a slot's tenants apart.
    lives: u64,
    /// Whether the first set was taken over.
    begun: bool,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.look();
            self.start_due();
            // Before waiting: what the look has found must not be told with the next question only.
            if self.tell().await.is_err() {
                return;
            }
            let due = self.schedule.next().filter(|_| !self.is_full());
            let next = [due, self.knocks.next(), self.health.recheck_at()].into_iter().flatten().min();
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.take_over_wanted(),
                    // Nobody wants anything any more.
                    Err(_) => return,
                },
                Some((question, answer)) = self.running.next(), if !self.running.is_empty() => {
                    self.note(&question, answer);
                    while let Some(Some((question, answer))) = self.running.next().now_or_never() {
                        self.note(&question, answer);
                    }
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn take_over_wanted(&mut self) {
        let Wanted { targets, down } = self.wanted.borrow_and_update().clone();
        let first = self.index.is_empty();
        // Who leaves and comes back is judged anew: what an earlier process found is news of the first set only.
        let begun = self.begun;
        self.begun |= !targets.is_empty();
        let gone: Vec<Arc<Target>> = self.index.keys().filter(|t| !targets.contains(t.as_ref())).cloned().collect();
        for target in gone {
            if let Some(slot) = self.index.remove(&target) {
                self.free.push(slot);
                if let Some(tenant) = self.slots.get_mut(slot) {
                    *tenant = None;
                }
            }
        }
        let now = Instant::now();
        for target in targets.iter().filter(|t| !self.index.contains_key(*t)).cloned().collect::<Vec<_>>() {
            let was_down = !begun && down.contains(&target);
            let tally = if was_down { Tally::down() } else { Tally::default() };
            let interval = target.pace.interval;
            let turn = self.admit(Arc::new(target), tally);
            if first {
                self.schedule.somewhere_in(interval, turn, now);
            } else {
                self.schedule.now(turn, now);
            }
        }
    }

    fn admit(&mut self, target: Arc<Target>, tally: Tally) -> Turn {
        self.lives += 1;
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(Slot { target: target.clone(), tally, told: false, life: self.lives });
        }
        self.index.insert(target, slot);
        Turn { slot, life: self.lives }
    }

    fn is_full(&self) -> bool {
        self.knocks.len() + self.running.len() >= AT_A_TIME
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while !self.is_full() {
            let Some(turn) = self.schedule.take_due(now) else { return };
            let Some(tenant) = tenant(&mut self.slots, turn) else { continue };
            let question = Question { turn, target: tenant.target.clone(), started: now };
            let begun = if tenant.told { self.knocks.start(question, &self.sources) } else { self.ask_first(question) };
            if let Err((question, trouble)) = begun {
                self.note(&question, trouble.into_answer());
            }
        }
    }

    /// Asks one of whom nothing is known yet: an apply waits for the answer, so it is not looked for now and then.
    fn ask_first(&self, question: Question) -> Result<(), (Question, Trouble)> {
        match open(question.target.address, &self.sources) {
            Ok(socket) => {
                self.running.push(Box::pin(ask_opening(question, socket)));
                Ok(())
            }
            Err(error) => Err((question, error.into())),
        }
    }

    /// Goes on with the questions whose connection stands.
    fn look(&mut self) {
        for (question, opened) in self.knocks.look(Instant::now()) {
            match (opened, &question.target.check) {
                (Ok(_), Check::Tcp) => self.note(&question, Answer::Passed),
                (Ok(socket), _) => self.running.push(Box::pin(ask(question, socket))),
                (Err(trouble), _) => self.note(&question, trouble.into_answer()),
            }
        }
    }

    fn note(&mut self, question: &Question, answer: Answer) {
        let now = Instant::now();
        self.health.note(&answer, now);
        let &Question { turn, started, .. } = question;
        let Some(tenant) = tenant(&mut self.slots, turn) else { return };
        let pace = tenant.target.pace;
        // What could not be asked is no reason to ask sooner: that would make a shortage worse.
        let calm = !matches!(answer, Answer::Failed(_));
        self.schedule.after(pace.next(calm, now.saturating_duration_since(started)), turn, started);
        let is_answer = !matches!(answer, Answer::Unasked(_));
        let changed = tenant.tally.note(answer, &pace);
        let first = is_answer && !tenant.told && tenant.tally.verdict() != Verdict::Unknown;
        if changed || first {
            tenant.told = true;
            let report = Report {
                verdict: tenant.tally.verdict(),
                since: Timestamp::now(),
                trouble: tenant.tally.trouble().map(str::to_owned),
            };
            self.changed.push((tenant.target.as_ref().clone(), report));
        }
    }

    /// Says what is new; an error means that nobody listens.
    async fn tell(&mut self) -> Result<(), mpsc::error::SendError<News>> {
        if let Some(news) = self.health.news(Instant::now()) {
            self.news.send(news).await?;
        }
        if !self.changed.is_empty() {
            self.news.send(News::Verdicts(std::mem::take(&mut self.changed))).await?;
        }
        Ok(())
    }
}

fn tenant(slots: &mut [Option<Slot>], turn: Turn) -> Option<&mut Slot> {
    slots.get_mut(turn.slot)?.as_mut().filter(|slot| slot.life == turn.life)
}

impl Health {
    fn note(&mut self, answer: &Answer, now: Instant) {
        let Answer::Unasked(reason) = answer else { return };
        self.last_trouble = Some(now);
        if self.sick.is_none() {
            self.sick = Some(Sickness { reason: reason.clone(), since: Timestamp::now() });
        }
    }

    fn recheck_at(&self) -> Option<Instant> {
        self.last_trouble.map(|at| at + SICK_FOR)
    }

    /// What has changed since the last time.
    fn news(&mut self, now: Instant) -> Option<News> {
        if self.recheck_at().is_some_and(|at| at <= now) {
            (self.sick, self.last_trouble) = (None, None);
        }
        if self.sick.is_some() == self.told {
            return None;
        }
        self.told = self.sick.is_some();
        Some(News::Sick(self.sick.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use tidegate_core::probe::Pace;

    use super::*;

    /// So seldom that no next question comes while a test runs.
    const PACE: Pace = Pace { interval: Duration::from_hours(1), timeout: Duration::from_mins(1), fall: 1, rise: 1 };

    fn target(address: SocketAddr) -> Target {
        Target { address, check: Check::Tcp, pace: PACE }
    }

    fn somebody() -> (TcpListener, Target) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = target(listener.local_addr().unwrap());
        (listener, target)
    }

    async fn verdict(prober: &mut Prober, on: &Target) -> Verdict {
        match prober.news().await {
            News::Verdicts(verdicts) => {
                let [(target, report)] = verdicts.as_slice() else { panic!("{verdicts:?}") };
                assert_eq!(target, on);
                report.verdict
            }
            News::Sick(sick) => panic!("{sick:?}"),
        }
    }

    /// What is found of the second of two, each of whom is asked once in an hour.
    async fn first_verdict(of: Target) -> Verdict {
        let mut prober = Prober::start(Sources::default());
        let (_listener, known) = somebody();
        prober.begin(Arc::new(BTreeSet::from([known.clone()])), BTreeSet::new());
        // On this one thread it is taken over now, before there is another one.
        tokio::task::yield_now().await;
        prober.want(Arc::new(BTreeSet::from([known, of.clone()])));
        let told = tokio::time::timeout(Duration::from_secs(10), verdict(&mut prober, &of)).await;
        told.expect("the first answer is told at once")
    }

    #[tokio::test]
    async fn a_first_answer_is_told_at_once() {
        let (_listener, somebody) = somebody();
        assert_eq!(first_verdict(somebody).await, Verdict::Up);
        let nobody = target((Ipv4Addr::LOCALHOST, 1).into());
        assert_eq!(first_verdict(nobody).await, Verdict::Down);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_is_told_at_once_and_not_with_the_next_question() {
        let mut prober = Prober::start(Sources::default());
        let (listener, target) = somebody();
        prober.begin(Arc::new(BTreeSet::from([target.clone()])), BTreeSet::new());
        assert_eq!(verdict(&mut prober, &target).await, Verdict::Up);
        drop(listener);
        // A program that another test is just starting holds a copy until it is executed.
        while TcpStream::connect(target.address).is_ok() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let crashed = Instant::now();
        assert_eq!(verdict(&mut prober, &target).await, Verdict::Down);
        // It is asked 57 to 63 minutes after the last time, and again half an hour later.
        let took = crashed.elapsed();
        assert!(took < Duration::from_mins(65), "{took:?}");
    }
}
