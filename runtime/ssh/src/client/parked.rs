//! Logins that are put by: each for one way to a machine, to be taken once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dva_runtime::transport::{Dialer, Reach};

use crate::client::session::SshSession;

/// The logins that are put by. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Parked(Arc<Mutex<Vec<Entry>>>);

/// A login and the way it was made, which nothing else has: one dialer is one machine's.
struct Entry {
    dialer: Weak<dyn Dialer>,
    session: SshSession,
}

impl Parked {
    pub(super) fn put(&self, reach: &Reach, session: SshSession) {
        let entry = Entry {
            dialer: Arc::downgrade(&reach.dialer),
            session,
        };
        self.entries().push(entry);
    }

    /// The login that was made by `reach`, where it still stands.
    pub(super) fn take(&self, reach: &Reach) -> Option<SshSession> {
        let mut entries = self.entries();
        let own = Arc::downgrade(&reach.dialer);
        let at = entries
            .iter()
            .position(|entry| Weak::ptr_eq(&entry.dialer, &own));
        let session = at.map(|at| entries.swap_remove(at).session);
        session.filter(SshSession::is_up)
    }

    /// What nobody can take any more is ended on the way.
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.dialer.strong_count() > 0);
        entries
    }
}

/// Shows how many there are.
impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parked({})", self.entries().len())
    }
}
