//! State that other modules, such as `progress`, keep for a client, shared by all its clones.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The attached state, one value of each type. The client holds only weak references: a value is
/// dropped with its last user. So a value may hold caches without keeping the client alive.
#[derive(Debug, Default)]
pub(super) struct Attached {
    states: Mutex<Vec<Weak<dyn Any + Send + Sync>>>,
}

impl Attached {
    /// The state of this type if it is in use, otherwise a new one.
    pub(super) fn get<S: Default + Send + Sync + 'static>(&self) -> Arc<S> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|state| state.strong_count() > 0);
        let mut in_use = states.iter().filter_map(Weak::upgrade);
        if let Some(state) = in_use.find_map(|state| state.downcast().ok()) {
            return state;
        }
        let state = Arc::new(S::default());
        let erased: Arc<dyn Any + Send + Sync> = state.clone();
        states.push(Arc::downgrade(&erased));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_state_as_long_as_it_is_used() {
        let attached = Attached::default();
        let number: Arc<Mutex<u8>> = attached.get();
        let text: Arc<Mutex<String>> = attached.get();
        assert!(Arc::ptr_eq(&number, &attached.get()));
        assert!(Arc::ptr_eq(&text, &attached.get()));
        *number.lock().expect("a lock") = 7;
        drop(number);
        assert_eq!(*attached.get::<Mutex<u8>>().lock().expect("a lock"), 0);
        assert_eq!(attached.states.lock().expect("a lock").len(), 2);
    }
}
