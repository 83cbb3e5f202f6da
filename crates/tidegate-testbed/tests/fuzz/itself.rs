//! The fuzzer finds what is planted: a panic behind a length, an endless loop, a stack that is used up, memory without
//! bounds; and it does not pass off idling as work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_testbed::fuzz::{Budget, Finding, Target, Verdict, What, guarded, is_child, run};

/// Executions within which a planted bug must be found.
const ENOUGH: u64 = 200_000;

fn budget() -> Budget {
    Budget { seed: 7, time: Duration::from_secs(30), least: 1, patience: Duration::from_millis(500) }
}

fn planted(check: impl Fn(&[u8]) -> Verdict + Send + Sync + 'static) -> Target {
    let corpus = vec![b"len=5 body=hello end".to_vec(), b"len=0 body= end".to_vec()];
    Target { name: "planted", corpus, dictionary: &["len=", "body=", "end"], check: Box::new(check) }
}

/// Reads `len=N body=... end`; with a mistake that only shows when N is larger than what is there.
fn faulty_reader(input: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let refused = |why: &str| Verdict::Refused(why.to_owned());
    let Some(rest) = text.strip_prefix("len=") else { return refused("no length") };
    let Some((length, rest)) = rest.split_once(' ') else { return refused("no end of the length") };
    let Ok(length) = length.parse::<usize>() else { return refused("no number") };
    let Some(body) = rest.strip_prefix("body=") else { return refused("no body") };
    if !body.ends_with("end") {
        return refused("cut off");
    }
    assert!(length < body.len(), "index {length} out of bounds");
    Verdict::Accepted
}

fn found(check: fn(&[u8]) -> Verdict) -> Finding {
    run(vec![planted(check)], &budget()).expect_err("the planted bug is found")
}

#[test]
fn a_planted_panic_is_found_minimised_and_the_same_with_the_same_seed() {
    let finding = found(faulty_reader);
    assert!(
        matches!(&finding.what, What::Panicked(message) if message.contains("itself.rs") && message.contains("out of bounds")),
        "{finding}"
    );
    assert!(finding.execution < ENOUGH, "{finding}");
    // `len=N body=end` with the shortest N that is too large.
    assert!(finding.input.len() <= 16, "{finding}");
    assert!(std::panic::catch_unwind(|| faulty_reader(&finding.input)).is_err(), "what is shown must fail: {finding}");
    assert!(finding.to_string().contains(&format!("FUZZ_INPUT={}", hex::encode(&finding.input))), "{finding}");
    assert_eq!(found(faulty_reader), finding);
}

#[test]
fn a_planted_endless_loop_is_found() {
    static ENDED: AtomicBool = AtomicBool::new(false);
    let finding = found(|input| {
        while input.starts_with(b"len=9") && !ENDED.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if input.len() % 2 == 0 { Verdict::Accepted } else { Verdict::Refused("odd".to_owned()) }
    });
    ENDED.store(true, Ordering::Relaxed);
    assert!(matches!(finding.what, What::Hangs(_)) && finding.input.starts_with(b"len=9"), "{finding}");
}

#[test]
fn a_target_that_does_nothing_is_no_target() {
    let trivial = |check: fn(&[u8]) -> Verdict, least| {
        let budget = Budget { time: Duration::from_millis(200), least, ..budget() };
        match run(vec![planted(check)], &budget).expect_err("nothing was shown").what {
            What::Trivial(why) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(trivial(|_| Verdict::Accepted, 1).contains("was refused"));
    assert!(trivial(|_| Verdict::Refused("never".to_owned()), 1).contains("was accepted"));
}

fn depth(input: &[u8]) -> usize {
    match input.split_first() {
        Some((b'[', rest)) => std::hint::black_box(1 + depth(std::hint::black_box(rest))),
        _ => 0,
    }
}

/// The processes that die; as tests of their own they have nothing to do.
#[test]
fn child_without_a_bound_on_its_stack() {
    if is_child() {
        let deep = |input: &[u8]| {
            // A frame as large as those of real readers.
            let from = input.iter().position(|byte| *byte == b'[').unwrap_or(input.len());
            let deep = depth(&input[from..]);
            assert!(deep == 0 || depth(&b"[".repeat(deep * 1_000)) > 0);
            Verdict::Accepted
        };
        drop(run(vec![planted(deep)], &budget()));
    }
}

#[test]
fn child_without_a_bound_on_its_memory() {
    if is_child() {
        let greedy = |input: &[u8]| {
            let digits: String =
                input.iter().skip(4).map(|b| char::from(*b)).take_while(char::is_ascii_digit).collect();
            let room: Vec<u8> = Vec::with_capacity(digits.parse::<usize>().unwrap_or(0).min(1 << 40));
            if room.capacity() == 0 { Verdict::Refused("nothing".to_owned()) } else { Verdict::Accepted }
        };
        drop(run(vec![planted(greedy)], &budget()));
    }
}

#[test]
fn what_ends_the_process_is_found_with_its_input() {
    for (child, sign) in [
        ("itself::child_without_a_bound_on_its_stack", "overflow"),
        ("itself::child_without_a_bound_on_its_memory", "allocation"),
    ] {
        let error = guarded(child, 7).expect_err("the child dies").to_string();
        assert!(error.contains(sign) && error.contains("FUZZ_TARGET=planted FUZZ_INPUT="), "{error}");
    }
}
