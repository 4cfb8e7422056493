//! A point that a run comes to and a test lets it pass: no test waits for a length of time.

use std::sync::{Condvar, Mutex};
use tokio::sync::watch;

/// Closed until opened; whoever comes to it is noticed and waits.
#[derive(Debug)]
pub struct Gate {
    came: watch::Sender<bool>,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Default for Gate {
    fn default() -> Self {
        Self { came: watch::channel(false).0, open: Mutex::default(), opened: Condvar::default() }
    }
}

impl Gate {
    /// Blocks the thread until the gate is open.
    pub fn pass(&self) {
        self.came.send_replace(true);
        let _open = self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap();
    }

    /// Ends when somebody has come to the gate.
    pub async fn reached(&self) {
        self.came.subscribe().wait_for(|came| *came).await.unwrap();
    }

    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}
