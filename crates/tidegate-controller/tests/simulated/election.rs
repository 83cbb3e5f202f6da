//! Several controllers on one Lease and one store.

use std::time::Duration;

use tidegate_controller::OrderError;
use tokio::time::{Instant, sleep};

use crate::replica::FakeLease;
use crate::store::Fault;
use crate::world::{Running, World, announce_end, eventually, seconds, settings, worker, workers};

fn replicated(count: u8) -> World {
    World { lease: Some(FakeLease::default()), ..World::new(workers(count)) }
}

fn lease(world: &World) -> FakeLease {
    world.lease.clone().unwrap()
}

/// Starts these controllers one after the other; the first one leads.
async fn start<const N: usize>(world: &World, holders: [&str; N]) -> [Running; N] {
    let mut running = Vec::new();
    for holder in holders {
        running.push(world.start_as(settings(holder)));
        let api = running[0].api.clone();
        eventually(seconds(1), || leads(&api), || format!("{:?}", api.status())).await;
    }
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    // Until every follower has read what the leader wrote.
    sleep(seconds(3)).await;
    running.try_into().ok().unwrap()
}

fn leads(api: &tidegate_controller::ApiState) -> bool {
    api.status().is_some_and(|status| status.leader.is_self)
}

/// How long it takes until this one leads and has published under its own term.
async fn until_leads(world: &World, running: &Running, limit: Duration) -> Duration {
    let done = || {
        let status = running.api.status();
        let live = world.agents[0].inner().live.as_ref().map(|state| state.position.term);
        status.is_some_and(|status| status.leader.is_self && Some(status.leader.term) == live)
    };
    eventually(limit, done, || format!("{:?}", running.api.status().map(|s| s.leader))).await
}

#[tokio::test(start_paused = true)]
async fn a_follower_serves_its_status_and_neither_writes_nor_pushes() {
    let world = replicated(3);
    let [one, two] = start(&world, ["one", "two"]).await;
    assert!(world.store.inner().log.iter().all(|entry| entry.holder == "one"));
    let pushes = world.agents[0].inner().pushes;
    let polls = world.agents[0].inner().polls;
    one.pause(true);
    sleep(seconds(5)).await;
    assert_eq!(world.agents[0].inner().pushes, pushes, "only the leader pushes");
    assert!(world.agents[0].inner().polls > polls, "a follower asks what is live");
    one.pause(false);
    let status = two.status();
    assert_eq!((status.leader.holder.as_str(), status.leader.term.0, status.leader.is_self), ("one", 1, false));
    assert!(status.is_in_sync() && status.frozen.is_none(), "{status:?}");
    assert_eq!(two.api.problem(), None, "a follower is ready");
    assert_eq!((one.metric("tidegate_leader"), two.metric("tidegate_leader")), (1.0, 0.0));
    let replicas = |running: &Running| -> Vec<(String, bool)> {
        running.status().replicas.iter().map(|r| (r.holder.clone(), r.is_leader)).collect()
    };
    let both = vec![("one".to_owned(), true), ("two".to_owned(), false)];
    let listed = || replicas(&one) == both && replicas(&two) == both;
    eventually(seconds(25), listed, || format!("{:?} {:?}", replicas(&one), replicas(&two))).await;
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(1)).await;
    let followed = || two.status().is_in_sync() && two.status().nodes.iter().all(|n| n.state.as_str() == "active");
    eventually(seconds(6), followed, || format!("{:?}", two.status())).await;
    let refusal = two.api.drain(crate::world::name("w1"), "me".into(), String::new()).await.unwrap_err();
    assert_eq!(refusal, OrderError::NotLeader { leader: Some("one".into()) });
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_within_the_lease_and_two_seconds() {
    let world = replicated(3);
    let [one, two, three] = start(&world, ["one", "two", "three"]).await;
    one.kill();
    let killed = Instant::now();
    let candidates = || [&two, &three].into_iter().filter(|r| leads(&r.api)).count();
    eventually(seconds(17), || candidates() > 0, || "nobody leads".into()).await;
    assert!(killed.elapsed() > seconds(10), "the Lease was still its own: {:?}", killed.elapsed());
    sleep(seconds(30)).await;
    assert_eq!(candidates(), 1);
    assert_eq!(world.store.inner().log.last().unwrap().term.0, 2);
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(1)).await;
    two.stop().await.unwrap();
    three.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_ends_in_order_is_replaced_in_a_second_without_a_list() {
    let world = replicated(3);
    let [one, two] = start(&world, ["one", "two"]).await;
    world.cluster.state().cannot_list = true;
    let lists = world.cluster.state().lists;
    let stopped = Instant::now();
    one.stop().await.unwrap();
    until_leads(&world, &two, seconds(1)).await;
    assert!(stopped.elapsed() < seconds(1), "{:?}", stopped.elapsed());
    assert_eq!(world.cluster.state().lists, lists, "the first publish waits for no LIST");
    assert_eq!(world.lease.as_ref().unwrap().inner().replicas.keys().collect::<Vec<_>>(), ["two"]);
    world.cluster.edit("w3", announce_end);
    world.until_live(&["w1", "w2", "~w3"], seconds(1)).await;
    two.stop().await.unwrap();
    assert_eq!(lease(&world).holder(), None);
}

/// The old leader decides, and is paused before its write arrives.
async fn paused_in_mid_write() -> (World, Running, Running) {
    let world = replicated(3);
    let [one, two] = start(&world, ["one", "two"]).await;
    world.store.inner().append_takes = Duration::from_millis(100);
    world.cluster.edit("w1", announce_end);
    sleep(Duration::from_millis(50)).await;
    one.pause(true);
    world.store.inner().append_takes = Duration::ZERO;
    until_leads(&world, &two, seconds(17)).await;
    world.until_live(&["~w1", "w2", "w3"], seconds(1)).await;
    (world, one, two)
}

#[tokio::test(start_paused = true)]
async fn what_a_paused_leader_was_about_to_write_is_refused_and_it_follows() {
    let (world, one, two) = paused_in_mid_write().await;
    let (commits, pushes) = (world.store.commits(), world.agents[0].inner().pushes);
    one.pause(false);
    let follows = || one.api.status().is_some_and(|s| !s.leader.is_self && s.leader.holder == "two");
    eventually(seconds(10), follows, || format!("{:?}", one.api.status())).await;
    sleep(seconds(3)).await;
    let refused = world.store.inner().refused.clone();
    assert_eq!(refused.len(), 1, "the write that was under way arrived, and was refused: {refused:?}");
    assert_eq!((refused[0].holder.as_str(), refused[0].term.0), ("one", 1));
    assert_eq!(world.store.commits(), commits);
    assert_eq!(world.agents[0].inner().pushes, pushes, "not one push of the old term");
    assert!(leads(&two.api));
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_paused_before_it_decided_does_not_even_try() {
    let world = replicated(3);
    let [one, two] = start(&world, ["one", "two"]).await;
    one.pause(true);
    until_leads(&world, &two, seconds(17)).await;
    // The event waits in the paused process.
    world.cluster.edit("w1", announce_end);
    world.until_live(&["~w1", "w2", "w3"], seconds(1)).await;
    let pushes = world.agents[0].inner().pushes;
    one.pause(false);
    sleep(seconds(20)).await;
    assert_eq!(world.store.inner().refused.len(), 0);
    assert_eq!(world.agents[0].inner().pushes, pushes);
    let holders: Vec<String> = world.store.inner().log.iter().skip(2).map(|e| e.holder.clone()).collect();
    assert!(holders.iter().all(|holder| holder == "two"), "{holders:?}");
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_the_lease_api_the_leader_stops_at_its_deadline_and_leads_again_afterwards() {
    for hangs in [false, true] {
        let world = replicated(3);
        let [one] = start(&world, ["one"]).await;
        let fail = |on: bool| {
            let lease = lease(&world);
            let mut inner = lease.inner();
            if hangs { inner.hangs = on } else { inner.down = on }
        };
        fail(true);
        let since = Instant::now();
        eventually(seconds(11), || !leads(&one.api), || format!("{:?}", one.api.status())).await;
        assert!(since.elapsed() >= seconds(7), "{:?}", since.elapsed());
        let (commits, pushes) = (world.store.commits(), world.agents[0].inner().pushes);
        world.cluster.apply(worker("w4", "10.0.0.4"));
        sleep(seconds(30)).await;
        assert_eq!((world.store.commits(), world.agents[0].inner().pushes), (commits, pushes));
        fail(false);
        let limit = if hangs { seconds(12) } else { seconds(3) };
        world.until_live(&["w1", "w2", "w3", "w4"], limit).await;
        assert_eq!(world.store.inner().log.last().unwrap().term.0, 2, "another tenure is another term");
        one.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn two_controllers_with_two_leases_on_one_store_say_so_and_do_not_fight_for_ever() {
    let mut world = replicated(3);
    let [one] = start(&world, ["one"]).await;
    world.lease = Some(FakeLease::default());
    let two = world.start_as(settings("two"));
    let told = || -> Vec<String> {
        [&one, &two].iter().filter_map(|r| r.api.status()?.frozen).map(|frozen| frozen.reason).collect()
    };
    let says_so =
        || told().iter().any(|reason| reason.contains("writes to the same store") && reason.contains("cure: "));
    eventually(seconds(300), says_so, || format!("{:?}", told())).await;
    sleep(seconds(600)).await;
    let term = world.store.inner().log.last().unwrap().term.0;
    sleep(seconds(600)).await;
    let later = world.store.inner().log.last().unwrap().term.0;
    assert!(later - term <= 8, "{} elections in ten minutes", later - term);
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"]);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_waits_for_a_store_that_does_not_answer_and_then_leads() {
    let world = replicated(3);
    let [one, two] = start(&world, ["one", "two"]).await;
    world.store.inner().fault = Some(Fault::Refuses);
    one.kill();
    world.cluster.apply(worker("w4", "10.0.0.4"));
    sleep(seconds(40)).await;
    assert!(two.status().frozen.is_some_and(|f| f.reason.contains("the store does not answer")), "{:?}", two.status());
    world.store.inner().fault = None;
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(11)).await;
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_announcement_of_a_replica_that_was_silent_for_ten_minutes_is_taken_away() {
    let world = replicated(3);
    let [one, two] = start(&world, ["one", "two"]).await;
    let last_word = tidegate_controller::Clock::now(&world.clock);
    lease(&world).inner().replicas.insert("gone".to_owned(), last_word);
    let announced = || lease(&world).inner().replicas.contains_key("gone");
    let listed = || one.status().replicas.iter().any(|replica| replica.holder == "gone");
    eventually(seconds(15), listed, || format!("{:?}", one.status().replicas)).await;
    sleep(seconds(50)).await;
    assert!(announced() && !listed(), "silent for a minute: kept, and not shown");
    sleep(seconds(530)).await;
    assert!(announced(), "it may still come back");
    eventually(seconds(30), || !announced(), || "it is never forgotten".into()).await;
    let both = || lease(&world).inner().replicas.keys().cloned().collect::<Vec<_>>();
    assert_eq!(both(), ["one", "two"]);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}
