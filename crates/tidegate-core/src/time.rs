//! Arithmetic on wall-clock instants that cannot panic.

use std::time::Duration;

use jiff::Timestamp;

/// `start` plus `length`, at most the last instant that can be written.
pub fn after(start: Timestamp, length: Duration) -> Timestamp {
    start.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// `length` before a moment; the beginning of time at the earliest.
pub fn before(end: Timestamp, length: Duration) -> Timestamp {
    let length = jiff::SignedDuration::try_from(length).unwrap_or(jiff::SignedDuration::MAX);
    end.checked_sub(length).unwrap_or(Timestamp::MIN)
}

/// How long ago `start` was at `now`; zero when `start` lies in the future (clocks of two machines
/// may disagree, and a negative age is never useful).
pub fn elapsed(start: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(start)).unwrap_or(Duration::ZERO)
}

/// A duration as a person writes it: `1m 30s`, `250ms`, `0s`.
pub fn human(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) if !length.is_zero() => format!("{}ms", length.as_millis()),
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, 0) => format!("{m}m"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, _, _) => format!("{d}d {h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_never_negative() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(elapsed(after(now, Duration::from_secs(5)), now), Duration::ZERO);
        assert_eq!(elapsed(now, after(now, Duration::from_secs(5))), Duration::from_secs(5));
    }

    #[test]
    fn the_end_of_time_is_not_a_panic() {
        assert_eq!(after(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(after(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
        assert_eq!(before(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MIN);
        assert_eq!(
            before(after(Timestamp::UNIX_EPOCH, Duration::from_secs(5)), Duration::from_secs(5)),
            Timestamp::UNIX_EPOCH
        );
    }

    #[test]
    fn people_read_durations() {
        let written = |ms| human(Duration::from_millis(ms));
        assert_eq!(written(0), "0s");
        assert_eq!(written(250), "250ms");
        assert_eq!(written(90_000), "1m 30s");
        assert_eq!(written(120_000), "2m");
        assert_eq!(written(3_700_000), "1h 1m");
        assert_eq!(written(90_000_000), "1d 1h");
    }
}
