//! State that the lifespan sets and every scope sees.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use super::guard::drop_guarded;

#[derive(Debug, Clone, Default)]
struct Values(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

/// The last of those that share the state may be a worker: its values are the application's.
impl Drop for Values {
    fn drop(&mut self) {
        self.0.drain().for_each(|(_, value)| drop_guarded(value));
    }
}

/// The `state` of ASGI: values that the lifespan handler sets at startup and that each later
/// scope finds in [`Scope::state`](super::Scope::state). Where Python has names, Rust has
/// types: one value per type.
///
/// Cloning is shallow: the values are shared, and what is set in one clone is not seen in
/// another.
///
/// ```
/// use oneport::State;
///
/// struct Database(&'static str);
///
/// let mut state = State::default();
/// state.insert(Database("connected"));
/// assert_eq!(state.get::<Database>().unwrap().0, "connected");
/// assert!(state.get::<u32>().is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct State {
    values: Arc<Values>,
}

impl State {
    /// Sets the value of this type.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        Arc::make_mut(&mut self.values).0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.values.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The value of this type, shared, to be kept by a handler.
    pub fn get_arc<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = Arc::clone(self.values.0.get(&TypeId::of::<T>())?);
        value.downcast().ok()
    }

    /// Are there no values?
    pub fn is_empty(&self) -> bool {
        self.values.0.is_empty()
    }
}
