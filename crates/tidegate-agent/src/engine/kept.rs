//! What texts of ours were taken apart into, so that each is taken apart once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_core::hash::ContentHash;

use crate::file::{Seal, unseal};

/// What is live, and what is about to be.
const TEXTS: usize = 2;

/// Texts that were taken apart last. A text that is one of them to the byte is as whole as it was then: its seal, a hash over
/// all of it, need not be reckoned again.
#[derive(Debug)]
pub struct Kept<T>(Mutex<Vec<Entry<T>>>);

#[derive(Debug)]
struct Entry<T> {
    generation: ContentHash,
    text: String,
    parts: Arc<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// The generation of a text, and what is kept of it or else is `made` of it; nothing when its seal is not whole.
    pub fn of<E>(
        &self,
        text: &str,
        made: impl FnOnce(ContentHash) -> Result<T, E>,
    ) -> Result<Option<(ContentHash, Arc<T>)>, E> {
        let known = self.entries().iter().find(|e| e.text == text).map(|e| (e.generation, e.parts.clone()));
        if known.is_some() {
            return Ok(known);
        }
        let Seal::Whole(generation) = unseal(text) else { return Ok(None) };
        Ok(Some((generation, self.keep(generation, text.to_owned(), made(generation)?))))
    }

    /// Keeps what a sealed text was taken apart into.
    pub fn keep(&self, generation: ContentHash, text: String, parts: T) -> Arc<T> {
        let parts = Arc::new(parts);
        let mut entries = self.entries();
        entries.retain(|entry| entry.generation != generation);
        entries.push(Entry { generation, text, parts: parts.clone() });
        let surplus = entries.len().saturating_sub(TEXTS);
        entries.drain(..surplus);
        parts
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::seal;

    fn text(body: &str) -> String {
        seal(&ContentHash::of_bytes(body.as_bytes()), body)
    }

    #[test]
    fn a_text_is_taken_apart_once_while_it_is_one_of_the_last_two() {
        let kept = Kept::default();
        let made = |body: &str, value: u8| *kept.of(&text(body), |_| Ok::<u8, ()>(value)).unwrap().unwrap().1;
        assert_eq!((made("one", 1), made("one", 9), made("two", 2)), (1, 1, 2));
        assert_eq!((made("three", 3), made("two", 9), made("one", 9)), (3, 2, 9));
        assert_eq!(kept.of(&text("four"), |_| Err("broken")), Err("broken"));
    }

    #[test]
    fn a_text_that_was_edited_is_none_that_is_kept() {
        let kept = Kept::default();
        let whole = text("one");
        assert!(kept.of(&whole, |_| Ok::<u8, ()>(1)).unwrap().is_some());
        assert_eq!(kept.of(&whole.replace("one", "two"), |_| Ok::<u8, ()>(2)), Ok(None));
        assert_eq!(kept.of("", |_| Ok::<u8, ()>(2)), Ok(None));
    }
}
