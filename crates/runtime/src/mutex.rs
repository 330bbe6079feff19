//! Mutexes that a panic leaves usable: what is done under any of them is done, or not begun.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it, also after a panic of another thread that held it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
