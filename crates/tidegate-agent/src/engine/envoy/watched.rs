//! A file that Envoy watches: replaced by a rename, under a version that is used only once.
//!
//! The version is the hash of the resources and the time of writing: an answer with it means this very write, and not an
//! earlier one of the same content.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::wanted::Body;

const BEFORE: &str = "{\"version_info\":\"";
const AFTER: &str = "\",";

/// One of the files.
#[derive(Clone, Debug)]
pub struct Watched {
    path: PathBuf,
}

impl Watched {
    /// At this path.
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The version under which it holds exactly these resources; nothing when it holds anything else.
    pub fn version_of(&self, body: &Body) -> Option<String> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let (version, rest) = text.strip_prefix(BEFORE)?.split_once(AFTER)?;
        let hash = body.hash.to_string();
        (rest == body.text && version.starts_with(&hash)).then(|| version.to_owned())
    }

    /// Replaces it. Not synced: it is made anew from the live file whenever Envoy is started.
    pub fn write(&self, body: &Body) -> io::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let version = format!("{}.{now:x}", body.hash);
        replace(&self.path, &format!("{BEFORE}{version}{AFTER}{}", body.text))?;
        Ok(version)
    }

    /// The text behind the version, whatever it is.
    pub fn text(&self) -> Option<String> {
        std::fs::read_to_string(&self.path).ok()
    }
}

/// Puts a whole file at a path, its folder included.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let temp = path.with_extension("json.new");
    fs_err::write(&temp, text)?;
    fs_err::rename(&temp, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let file = Watched::at(dir.path().join("eds/http/endpoints.json"));
        let [one, two] = ["{}", "{\"a\":1}"].map(|json| Body::of([&json.to_owned()]));
        assert_eq!(file.version_of(&one), None);
        let first = file.write(&one).unwrap();
        assert_eq!((file.version_of(&one), file.version_of(&two)), (Some(first.clone()), None));
        // The same again is another version.
        assert_ne!(file.write(&one).unwrap(), first);
        // An edit is no version of ours, whatever it says.
        let edited = file.text().unwrap().replace("{}", "{ }");
        std::fs::write(dir.path().join("eds/http/endpoints.json"), edited).unwrap();
        assert_eq!(file.version_of(&one), None);
    }
}
