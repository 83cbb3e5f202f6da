//! One candidate, step by step; several at once are in `tests/lease.rs`.

use super::*;

const POLICY: LeasePolicy = LeasePolicy {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn s(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn candidate(me: &str) -> Candidate {
    Candidate::new(me.to_owned(), POLICY)
}

fn record(holder: Option<&str>) -> LeaseRecord {
    let holder = holder.map(ToOwned::to_owned);
    LeaseRecord { holder, duration: s(15), acquired: Some(wall(-60)), renewed: Some(wall(0)), transitions: 3 }
}

fn seen(holder: Option<&str>, version: &str) -> SeenLease {
    SeenLease { record: record(holder), version: version.to_owned() }
}

fn write_of(candidate: &Candidate, now: Moment) -> (LeaseRecord, Option<String>) {
    match candidate.next(now, wall(0)) {
        LeaseStep::Write { record, version } => (record, version),
        other => panic!("expected a write at {now:?}, found {other:?}"),
    }
}

/// Follows `next` with a write that is done at once.
fn win(candidate: &mut Candidate, at: Moment, version: &str) {
    let (record, _) = write_of(candidate, at);
    candidate.written(record, LeaseWrite::Done(version.to_owned()), at, at);
}

/// `a`, leader since second 0.
fn leader() -> Candidate {
    let mut a = candidate("a");
    a.read(None, s(0), s(0));
    win(&mut a, s(0), "1");
    a
}

fn leads(candidate: &Candidate, now: Moment) -> bool {
    matches!(candidate.standing(now), Standing::Leader { .. })
}

fn follows(leader: Option<&str>) -> Standing {
    Standing::Follower { leader: leader.map(ToOwned::to_owned) }
}

#[test]
fn the_first_creates_the_lease_and_leads_until_its_renew_deadline() {
    let mut a = candidate("a");
    assert_eq!((a.standing(s(0)), a.next(s(0), wall(0))), (follows(None), LeaseStep::Read));
    a.read(None, s(0), s(1));
    let (record, version) = write_of(&a, s(1));
    assert_eq!((record.holder.as_deref(), record.transitions, version), (Some("a"), 0, None));
    assert_eq!((record.acquired, record.renewed), (Some(wall(0)), Some(wall(0))));
    a.written(record, LeaseWrite::Done("1".to_owned()), s(1), s(3));
    // From the start of the write: the others may have seen it since then.
    assert_eq!(a.standing(s(3)), Standing::Leader { until: s(11) });
    assert_eq!(a.standing(s(11)), follows(None));
}

#[test]
fn a_leader_renews_every_period_and_keeps_when_it_began() {
    let mut a = leader();
    assert_eq!(a.next(s(1), wall(1)), LeaseStep::Wait(s(2)));
    let LeaseStep::Write { record, version } = a.next(s(2), wall(2)) else { panic!("a leader renews") };
    assert_eq!((record.acquired, record.renewed, record.transitions), (Some(wall(0)), Some(wall(2)), 0));
    assert_eq!(version.as_deref(), Some("1"));
    a.written(record, LeaseWrite::Done("2".to_owned()), s(2), s(2));
    assert_eq!(a.standing(s(11)), Standing::Leader { until: s(12) });
}

#[test]
fn another_waits_a_whole_duration_from_when_it_saw_the_lease_unchanged() {
    let mut b = candidate("b");
    b.read(Some(seen(Some("a"), "7")), s(100), s(101));
    assert_eq!((b.standing(s(101)), b.next(s(101), wall(0))), (follows(Some("a")), LeaseStep::Wait(s(102))));
    b.read(Some(seen(Some("a"), "7")), s(115), s(115));
    assert_eq!(b.next(s(115), wall(0)), LeaseStep::Wait(s(116)), "at its end, not a whole period later");
    let (record, version) = write_of(&b, s(116));
    assert_eq!((record.holder.as_deref(), record.transitions, version.as_deref()), (Some("b"), 4, Some("7")));
    assert_eq!(record.acquired, Some(wall(0)));
}

#[test]
fn each_renewal_starts_the_wait_anew() {
    let mut b = candidate("b");
    b.read(Some(seen(Some("a"), "7")), s(0), s(0));
    b.read(Some(seen(Some("a"), "8")), s(14), s(14));
    b.read(Some(seen(Some("a"), "8")), s(28), s(28));
    assert_eq!(b.next(s(28), wall(0)), LeaseStep::Wait(s(29)));
}

#[test]
fn a_longer_duration_of_the_holder_is_respected_and_a_shorter_one_is_not_believed() {
    let lasting = |duration| SeenLease { record: LeaseRecord { duration, ..record(Some("a")) }, version: "7".into() };
    for (duration, free) in [(60, 60), (1, 15)] {
        let mut b = candidate("b");
        b.read(Some(lasting(s(duration))), s(0), s(0));
        b.read(Some(lasting(s(duration))), s(free - 1), s(free - 1));
        assert_eq!(b.next(s(free - 1), wall(0)), LeaseStep::Wait(s(free)), "{duration} s");
        assert!(matches!(b.next(s(free), wall(0)), LeaseStep::Write { .. }));
    }
    let mut b = candidate("b");
    b.read(Some(lasting(Duration::MAX)), s(1), s(1));
    assert_eq!(b.next(s(1_000_000), wall(0)), LeaseStep::Read, "for ever, and without a panic");
}

#[test]
fn what_the_times_in_the_lease_say_changes_nothing() {
    for shift in [-3_600, 0, 3_600] {
        let mut b = candidate("b");
        let record = LeaseRecord { renewed: Some(wall(shift)), acquired: None, ..record(Some("a")) };
        b.read(Some(SeenLease { record, version: "7".to_owned() }), s(0), s(0));
        assert_eq!(b.next(s(1), wall(-shift)), LeaseStep::Wait(s(2)), "a Lease renewed {shift} s from now");
        assert!(matches!(b.next(s(15), wall(shift)), LeaseStep::Write { .. }));
    }
}

#[test]
fn a_released_lease_is_taken_at_the_next_read() {
    let mut a = leader();
    let (released, version) = a.release(wall(5)).unwrap();
    assert_eq!((a.standing(s(1)), version.as_str()), (follows(None), "1"));
    assert_eq!((released.holder.as_ref(), released.duration, released.renewed), (None, s(1), Some(wall(5))));
    let mut b = candidate("b");
    b.read(Some(seen(Some("a"), "1")), s(0), s(0));
    b.read(Some(SeenLease { record: released, version: "2".to_owned() }), s(2), s(2));
    win(&mut b, s(2), "3");
    assert!(leads(&b, s(2)));
}

#[test]
fn only_the_holder_has_something_to_release() {
    let mut b = candidate("b");
    assert_eq!(b.release(wall(0)), None);
    b.read(Some(seen(Some("a"), "7")), s(0), s(0));
    assert_eq!(b.release(wall(0)), None);
}

#[test]
fn a_release_that_did_not_arrive_can_be_tried_again() {
    let mut a = leader();
    assert_eq!(a.release(wall(0)), a.release(wall(0)));
}

#[test]
fn after_a_renewal_without_an_answer_the_lease_is_read_and_then_released() {
    let mut a = leader();
    let (record, _) = write_of(&a, s(2));
    a.written(record.clone(), LeaseWrite::Failed, s(2), s(4));
    assert_eq!(a.release(wall(4)), None, "its version is not known");
    a.read(Some(SeenLease { record, version: "2".to_owned() }), s(4), s(4));
    assert_eq!(a.release(wall(4)).map(|(_, version)| version).as_deref(), Some("2"));
}

#[test]
fn a_leader_that_cannot_renew_acts_until_its_deadline_and_no_longer() {
    let mut a = leader();
    for at in [2, 4, 6, 8] {
        let started = s(at);
        match a.next(started, wall(0)) {
            LeaseStep::Read => a.unread(started, started),
            LeaseStep::Write { record, .. } => a.written(record, LeaseWrite::Failed, started, started),
            LeaseStep::Wait(_) => panic!("a leader tries again every period"),
        }
        assert_eq!(a.standing(s(at)), Standing::Leader { until: s(10) });
    }
    assert!(!leads(&a, s(10)));
}

#[test]
fn a_process_that_slept_past_its_deadline_does_not_lead_when_it_wakes() {
    let mut a = leader();
    let (record, _) = write_of(&a, s(2));
    // The answer waited for it: what it says has run out long ago.
    a.written(record, LeaseWrite::Done("2".to_owned()), s(2), s(60));
    assert!(!leads(&a, s(60)));
    win(&mut a, s(60), "3");
    assert!(leads(&a, s(60)), "nobody else took it in the meantime, as the version says");
}

#[test]
fn a_write_that_won_without_an_answer_is_found_and_made_sure_of_at_once() {
    let mut b = candidate("b");
    b.read(Some(seen(None, "7")), s(0), s(0));
    let (record, _) = write_of(&b, s(0));
    b.written(record.clone(), LeaseWrite::Failed, s(0), s(5));
    assert_eq!((b.standing(s(5)), b.next(s(5), wall(0))), (follows(None), LeaseStep::Read));
    b.read(Some(SeenLease { record, version: "8".to_owned() }), s(5), s(5));
    assert_eq!(b.standing(s(5)), follows(None), "when it was written is not known: only a new write counts");
    win(&mut b, s(5), "9");
    assert_eq!(b.standing(s(5)), Standing::Leader { until: s(15) });
}

#[test]
fn a_conflict_is_looked_into_at_once() {
    let mut b = candidate("b");
    b.read(Some(seen(None, "7")), s(0), s(0));
    let (record, _) = write_of(&b, s(0));
    b.written(record, LeaseWrite::Conflict, s(0), s(1));
    assert_eq!(b.next(s(1), wall(0)), LeaseStep::Read);
    b.read(Some(seen(Some("c"), "8")), s(1), s(1));
    assert_eq!((b.standing(s(1)), b.next(s(1), wall(0))), (follows(Some("c")), LeaseStep::Wait(s(3))));
}

#[test]
fn a_leader_whose_lease_was_taken_edited_or_deleted_by_hand_stops_when_it_reads_so() {
    for (found, leader_now) in [(Some(seen(Some("b"), "9")), Some("b")), (Some(seen(None, "9")), None), (None, None)] {
        let mut a = leader();
        let (record, _) = write_of(&a, s(2));
        a.written(record, LeaseWrite::Conflict, s(2), s(2));
        assert!(leads(&a, s(2)), "it may have been a try of its own");
        a.read(found.clone(), s(2), s(2));
        assert_eq!(a.standing(s(2)), follows(leader_now), "{found:?}");
    }
}

#[test]
fn an_answer_from_before_the_latest_write_says_nothing() {
    let mut a = candidate("a");
    a.read(None, s(0), s(0));
    win(&mut a, s(1), "1");
    a.read(None, s(0), s(2));
    assert!(leads(&a, s(2)));
    assert_eq!(a.next(s(2), wall(0)), LeaseStep::Wait(s(3)));
}

#[test]
fn reading_its_own_lease_does_not_make_a_leader_write_sooner() {
    let mut a = leader();
    let own = a.known_lease();
    a.read(own, s(1), s(1));
    assert_eq!(a.next(s(1), wall(0)), LeaseStep::Wait(s(2)), "else its own writes would wake it without end");
}

#[test]
fn who_steps_down_leads_again_only_after_a_new_read_and_a_new_write() {
    let mut a = leader();
    let (record, _) = write_of(&a, s(2));
    a.step_down();
    assert_eq!(a.standing(s(2)), follows(None));
    // A renewal that was under way does not bring the old leadership back.
    a.written(record.clone(), LeaseWrite::Done("2".to_owned()), s(2), s(3));
    assert_eq!((a.standing(s(3)), a.next(s(3), wall(0))), (follows(None), LeaseStep::Wait(s(4))));
    a.read(Some(SeenLease { record, version: "2".to_owned() }), s(4), s(4));
    win(&mut a, s(4), "3");
    assert!(leads(&a, s(4)));
}

#[test]
fn a_failed_read_is_repeated_a_period_after_it_was_begun() {
    let mut b = candidate("b");
    b.unread(s(0), s(1));
    assert_eq!(b.next(s(1), wall(0)), LeaseStep::Wait(s(2)));
    b.unread(s(2), s(9));
    assert_eq!(b.next(s(9), wall(0)), LeaseStep::Read);
}

impl Candidate {
    /// The Lease as this candidate knows it.
    fn known_lease(&self) -> Option<SeenLease> {
        match &self.known {
            Known::Seen { lease, .. } => Some(lease.clone()),
            Known::Nothing | Known::Absent => None,
        }
    }
}
