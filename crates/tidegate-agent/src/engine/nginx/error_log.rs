//! Watching nginx's error log from where it ended before a reload: the only place where it says why one failed.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::engine::procfs::Pid;

/// More than any failed reload writes; a log that is flooded is read in pieces.
const AT_ONCE: u64 = 256 * 1024;

/// What the master has said since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing that matters.
    Nothing,
    /// It gave up, for these reasons.
    Failed(String),
}

/// A place in the log.
#[derive(Debug)]
pub struct ErrorLog {
    path: PathBuf,
    offset: u64,
    line_start: String,
    binds: Vec<String>,
}

impl ErrorLog {
    /// The end of the log, now.
    pub fn at_end(path: &Path) -> Self {
        let offset = std::fs::metadata(path).map_or(0, |m| m.len());
        Self { path: path.to_owned(), offset, line_start: String::new(), binds: Vec::new() }
    }

    /// Reads what was added, and judges it.
    pub fn news(&mut self, master: Pid) -> Said {
        let text = self.read_more();
        let mut lines = std::mem::take(&mut self.line_start) + &text;
        // The last line may not be whole yet.
        self.line_start = lines.split_off(lines.rfind('\n').map_or(0, |at| at + 1));
        let emergency = format!("[emerg] {master}#");
        for line in lines.lines().filter(|l| l.contains(&emergency)) {
            let reason = line.split_once(']').map_or(line, |(_, rest)| rest).trim();
            let reason = reason.split_once(": ").map_or(reason, |(_, rest)| rest);
            // nginx tries a taken port five times, 500 ms apart, before it gives up.
            if reason.starts_with("bind() to") && reason.contains("(98:") {
                if !self.binds.iter().any(|b| b == reason) {
                    self.binds.push(reason.to_owned());
                }
                continue;
            }
            let reasons: Vec<&str> = self.binds.iter().map(String::as_str).chain([reason]).collect();
            return Said::Failed(reasons.join("; "));
        }
        Said::Nothing
    }

    fn read_more(&mut self) -> String {
        let Ok(mut file) = std::fs::File::open(&self.path) else { return String::new() };
        let length = file.metadata().map_or(0, |m| m.len());
        if length < self.offset {
            // Rotated or truncated: all of it is new.
            self.offset = 0;
        }
        let mut bytes = Vec::new();
        if length == self.offset || file.seek(SeekFrom::Start(self.offset)).is_err() {
            return String::new();
        }
        let read = file.take(AT_ONCE).read_to_end(&mut bytes).unwrap_or(0);
        self.offset += u64::try_from(read).unwrap_or(0);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const BIND: &str =
        "2026/11/24 11:00:00 [emerg] 77#77: bind() to 127.0.0.1:80 failed (98: Address already in use)\n";

    fn log(before: &str) -> (tempfile::NamedTempFile, ErrorLog) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(before.as_bytes()).unwrap();
        let log = ErrorLog::at_end(file.path());
        (file, log)
    }

    #[test]
    fn a_taken_port_is_final_only_when_nginx_gives_up() {
        let (mut file, mut log) = log("2026/11/24 10:00:00 [emerg] 77#77: still could not bind()\n");
        assert_eq!(log.news(77), Said::Nothing);
        for _ in 0..2 {
            file.write_all(BIND.as_bytes()).unwrap();
            assert_eq!(log.news(77), Said::Nothing);
        }
        file.write_all(b"2026/11/24 11:00:02 [emerg] 77#77: still could ").unwrap();
        assert_eq!(log.news(77), Said::Nothing);
        file.write_all(b"not bind()\n").unwrap();
        let said = "bind() to 127.0.0.1:80 failed (98: Address already in use); still could not bind()";
        assert_eq!(log.news(77), Said::Failed(said.into()));
    }

    #[test]
    fn only_our_master_counts_and_a_rotated_log_is_read_from_its_start() {
        let (mut file, mut log) = log("a line that was there before, long enough to be longer than what follows\n");
        file.write_all(b"2026/11/24 11:00:00 [emerg] 78#78: unknown directive \"x\"\n").unwrap();
        file.write_all(b"2026/11/24 11:00:00 [error] 77#77: *1 connect() failed (111: refused)\n").unwrap();
        assert_eq!(log.news(77), Said::Nothing);
        file.as_file().set_len(0).unwrap();
        std::fs::write(file.path(), "2026/11/24 11:00:00 [emerg] 77#77: no \"events\" section\n").unwrap();
        assert_eq!(log.news(77), Said::Failed("no \"events\" section".into()));
    }
}
