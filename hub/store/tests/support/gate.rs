//! Holding back what other threads do until a test has seen enough.

use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::Semaphore;

/// Holds something back until released.
pub struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// A permit for each that came to the gate.
    reached: Semaphore,
}

impl Gate {
    pub fn closed() -> Arc<Self> {
        Arc::new(Self { is_open: Mutex::new(false), opened: Condvar::new(), reached: Semaphore::new(0) })
    }

    /// Returns once somebody came to it who was not returned for before.
    pub async fn is_reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        self.reached.add_permits(1);
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }
}

/// Opens the gate; also when dropped, so that a failing test does not hang.
pub struct Release(Arc<Gate>);

impl Release {
    pub fn of(gate: Arc<Gate>) -> Self {
        Self(gate)
    }

    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        *self.0.is_open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }
}
