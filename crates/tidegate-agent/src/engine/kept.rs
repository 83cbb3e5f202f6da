//! What texts of ours were taken apart into, so that each is taken apart once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_core::hash::ContentHash;

/// What is live, and what is about to be.
const TEXTS: usize = 2;

/// Texts that were taken apart last, by their generations: a seal covers its text, and equal generations are equal texts.
#[derive(Debug)]
pub struct Kept<T>(Mutex<Vec<(ContentHash, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// What is kept of this generation, or else is `made` of its text.
    pub fn of<E>(&self, generation: ContentHash, made: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let known = self.texts().iter().find(|(of, _)| *of == generation).map(|(_, kept)| kept.clone());
        match known {
            Some(kept) => Ok(kept),
            None => Ok(self.keep(generation, made()?)),
        }
    }

    /// Keeps it.
    pub fn keep(&self, generation: ContentHash, text: T) -> Arc<T> {
        let text = Arc::new(text);
        let mut texts = self.texts();
        texts.retain(|(of, _)| *of != generation);
        texts.push((generation, text.clone()));
        let surplus = texts.len().saturating_sub(TEXTS);
        texts.drain(..surplus);
        text
    }

    fn texts(&self) -> MutexGuard<'_, Vec<(ContentHash, Arc<T>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_once_while_it_is_one_of_the_last_two() {
        let kept = Kept::default();
        let [one, two, three] = [b"1", b"2", b"3"].map(|text| ContentHash::of_bytes(text));
        let made = |generation, value: u8| *kept.of(generation, || Ok::<u8, ()>(value)).unwrap();
        assert_eq!((made(one, 1), made(one, 9), made(two, 2)), (1, 1, 2));
        assert_eq!((made(three, 3), made(two, 9), made(one, 9)), (3, 2, 9));
        assert_eq!(kept.of(ContentHash::of_bytes(b"4"), || Err("broken")), Err("broken"));
    }
}
