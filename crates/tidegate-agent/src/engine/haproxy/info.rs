//! What a worker says of itself, and its master of reloads: the answers to `show info` and `show proc`. Pure.

use tidegate_core::hash::ContentHash;

use crate::engine::procfs::Pid;

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Another one after each reload.
    pub pid: Pid,
    /// What it was started with; nothing when that is no file of ours.
    pub structure: Option<ContentHash>,
    /// Whether it only finishes the connections that it has.
    pub stopping: bool,
}

impl Info {
    /// Reads the answer; nothing when it is not HAProxy's, or not whole.
    pub fn parse(answer: &str) -> Option<Self> {
        let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let pid = value("Pid: ")?.parse().ok().filter(|pid| *pid > 1)?;
        let stopping = match value("Stopping: ")? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let structure = value("description: ").and_then(|text| ContentHash::parse(text).ok());
        Some(Self { pid, structure, stopping })
    }
}

/// Failed reloads so far, of a master's answer to `show proc`; nothing when it does not say.
pub fn failed_reloads(answer: &str) -> Option<u64> {
    let (_, rest) = answer.split_once("[failed: ")?;
    rest.split(']').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of HAProxy 2.6.12, some lines left out.
    fn answer() -> String {
        let hash = ContentHash::of_bytes(b"s");
        format!(
            "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 25273\nUptime: 0d 0h00m01s\nnode: lb1\ndescription: {hash}\nStopping: 1\nJobs: 5\n\n"
        )
    }

    #[test]
    fn pid_structure_and_whether_it_ends_are_read() {
        let structure = Some(ContentHash::of_bytes(b"s"));
        assert_eq!(Info::parse(&answer()), Some(Info { pid: 25273, structure, stopping: true }));
        let other = answer().replace("description: ", "description: gen-").replace("Stopping: 1", "Stopping: 0");
        assert_eq!(Info::parse(&other), Some(Info { pid: 25273, structure: None, stopping: false }));
    }

    #[test]
    fn another_answer_is_nobodys() {
        let cases = [
            "",
            "Pid: 12\n",
            "Stopping: 0\n",
            "Pid: -1\nStopping: 0\n",
            "Pid: 0\nStopping: 0\n",
            "Pid: 12\nStopping: no\n",
        ];
        for text in cases {
            assert_eq!(Info::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(text in ".{0,300}", cut in 0usize..200, tail in "[ -~\\n]{0,60}") {
            _ = Info::parse(&text);
            let whole = answer();
            _ = Info::parse(&format!("{}{tail}", &whole[..cut.min(whole.len())]));
        }
    }
}
