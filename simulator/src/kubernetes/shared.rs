//! What the server, the controllers and the kubelet have in common.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lifecycle::Time;
use tokio::time::sleep;

use super::{
    containers::Containers,
    faults::Faults,
    record::Record,
    settings::{Block, Settings},
    store::Store,
};
use net::Clock;

/// Time-driven parts of the controllers (`minReadySeconds`, retries) look again so often.
const TICK: Duration = Duration::from_secs(1);

/// Rounds of one controller without a pause before it waits for its tick all
/// the same: a loop that never settles must not starve the rest.
const ROUNDS_MAX: u32 = 1_000;

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) containers: Arc<dyn Containers>,
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    store: Mutex<Store>,
    record: Mutex<Record>,
    addresses: Mutex<Addresses>,
}

impl Shared {
    pub(super) fn new(clock: Clock, containers: Arc<dyn Containers>, settings: Settings) -> Self {
        Self {
            clock,
            containers,
            settings,
            faults: Faults::default(),
            store: Mutex::new(Store::new(clock)),
            record: Mutex::default(),
            addresses: Mutex::new(Addresses::new(settings.block)),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a level-triggered controller: after every change and every tick,
    /// `delay` later, on the state of that moment.
    pub(super) async fn follow(self: Arc<Self>, delay: Duration, mut sync: impl FnMut(&mut Store)) {
        let mut changes = self.store().subscribe();
        let mut rounds = 0;
        loop {
            let busy = rounds < ROUNDS_MAX;
            tokio::select! {
                told = changes.changed(), if busy => {
                    if told.is_err() {
                        return;
                    }
                    rounds += 1;
                }
                () = sleep(TICK) => rounds = 0,
            }
            sleep(delay).await;
            changes.borrow_and_update();
            sync(&mut self.store());
        }
    }
}

/// The addresses of the pods. A freed one is the last to be given again, so
/// that who still holds an old address finds nobody there.
pub(super) struct Addresses {
    block: Block,
    next: u8,
    taken: BTreeMap<u8, String>,
}

impl Addresses {
    fn new(block: Block) -> Self {
        Self { block, next: 2, taken: BTreeMap::new() }
    }

    /// An address for the pod with this uid; none where all 253 are taken.
    pub(super) fn take(&mut self, uid: &str) -> Option<Ipv4Addr> {
        for _ in 2..=254_u8 {
            let last = self.next;
            self.next = if last >= 254 { 2 } else { last + 1 };
            if let Entry::Vacant(free) = self.taken.entry(last) {
                free.insert(uid.to_owned());
                return Some(self.block.host(last));
            }
        }
        None
    }

    pub(super) fn release(&mut self, uid: &str) {
        self.taken.retain(|_, holder| holder != uid);
    }
}
