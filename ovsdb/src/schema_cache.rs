//! Caches what was made from the last few schema texts, for the next server or connection with the same
//! schema.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of cached schemas: programs use few, and each takes a few hundred kilobytes.
const KEPT: usize = 4;

/// Values made from the last few texts.
#[derive(Debug)]
pub(crate) struct ByText<T> {
    kept: Mutex<VecDeque<(Box<str>, Arc<T>)>>,
}

impl<T> ByText<T> {
    pub(crate) const fn new() -> Self {
        Self {
            kept: Mutex::new(VecDeque::new()),
        }
    }

    /// The value made from this text, or a new one made by `make`.
    pub(crate) fn get<E>(
        &self,
        text: &str,
        make: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = kept().iter().find(|(known, _)| **known == *text) {
            return Ok(known.clone());
        }
        let made = Arc::new(make(text)?);
        let mut kept = kept();
        kept.truncate(KEPT - 1);
        kept.push_front((text.into(), made.clone()));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_texts_are_known_and_errors_are_not_kept() {
        let lengths = ByText::new();
        let get = |text: &str| lengths.get(text, |text| Ok::<_, ()>(text.len()));
        let first = get("a").expect("made");
        assert!(Arc::ptr_eq(&first, &get("a").expect("known")));
        assert_eq!(lengths.get("bad", |_| Err("bad")), Err("bad"));
        for text in ["bad", "b", "c", "d"] {
            assert_eq!(get(text), Ok(Arc::new(text.len())));
        }
        assert!(!Arc::ptr_eq(&first, &get("a").expect("made again")));
    }
}
