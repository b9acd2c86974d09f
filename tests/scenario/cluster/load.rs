//! Clients that count what they lose: publishers with one QoS 1 message in
//! flight, sent again until it is acknowledged, and a persistent QoS 1
//! subscriber for each (docs/broker/practice.md, "Set-up").

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use simulator::kubernetes::Kubernetes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{NAME, NAMESPACE};

/// A client that was cut comes back after this time, as a patient one does.
const BACK_OFF: Duration = Duration::from_millis(300);

/// An acknowledgement that has not come by then never comes.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);

/// Nothing is published to it. What it does to `num_subscriptions` is recorded (`num_subscriptions_not_comparable.txt`).
const SHARED: &str = "all/commands";

#[derive(Default)]
struct Ledger {
    acknowledged: BTreeSet<u64>,
    received: BTreeSet<u64>,
    repeated: usize,
    subscribed: bool,
}

/// The clients and their books.
pub(crate) struct Load {
    rate: watch::Sender<f64>,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Load {
    pub(super) fn new(kubernetes: &Kubernetes, pairs: usize) -> Self {
        let (rate, _) = watch::channel(0.0);
        let ledgers: Vec<_> = (0..pairs).map(|_| Arc::new(Mutex::new(Ledger::default()))).collect();
        let mut tasks = Vec::new();
        for (pair, ledger) in ledgers.iter().enumerate() {
            let turn = Turn { kubernetes: kubernetes.clone(), next: pair };
            tasks.push(tokio::spawn(subscriber(turn.clone(), pair, Arc::clone(ledger), rate.subscribe())));
            tasks.push(tokio::spawn(publisher(turn, pair, pairs, Arc::clone(ledger), rate.subscribe())));
        }
        Self { rate, ledgers, tasks }
    }

    /// Messages a second, of all publishers together.
    pub(super) fn set_rate(&self, rate: f64) {
        self.rate.send_replace(rate);
    }

    /// Every subscriber has been on.
    pub(super) fn ready(&self) -> bool {
        self.ledgers.iter().all(|ledger| ledger.lock().expect("not poisoned").subscribed)
    }

    /// Acknowledged to the publisher, never received.
    pub(crate) fn lost(&self) -> Vec<String> {
        let of = |(pair, ledger): (usize, &Arc<Mutex<Ledger>>)| {
            let ledger = ledger.lock().expect("not poisoned");
            let lost = ledger.acknowledged.difference(&ledger.received);
            lost.map(|number| format!("t/{pair} #{number}")).collect::<Vec<_>>()
        };
        self.ledgers.iter().enumerate().flat_map(of).collect()
    }

    /// Messages that were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledgers.iter().map(|ledger| ledger.lock().expect("not poisoned").acknowledged.len()).sum()
    }

    pub(super) fn summary(&self) -> String {
        let repeated: usize =
            self.ledgers.iter().map(|ledger| ledger.lock().expect("not poisoned").repeated).sum();
        format!("load: {} acknowledged, {} lost, {repeated} repeated", self.acknowledged(), self.lost().len())
    }
}

/// The client Service: each connection goes to the next endpoint.
#[derive(Clone)]
struct Turn {
    kubernetes: Kubernetes,
    next: usize,
}

impl Turn {
    fn connect(&mut self, id: &str, clean: bool) -> Option<(AsyncClient, EventLoop)> {
        let ready: Vec<_> = self
            .kubernetes
            .endpoints(NAMESPACE, NAME)
            .into_iter()
            .filter(|endpoint| endpoint.ready)
            .collect();
        self.next += 1;
        let endpoint = ready.get(self.next % ready.len().max(1))?;
        let mut options = MqttOptions::new(id, endpoint.address.to_string(), 1883);
        options.set_clean_session(clean).set_keep_alive(Duration::from_secs(30));
        Some(AsyncClient::new(options, 16))
    }
}

async fn subscriber(mut turn: Turn, pair: usize, ledger: Arc<Mutex<Ledger>>, mut rate: watch::Receiver<f64>) {
    // Nobody is there before the load is asked for.
    let _ = rate.wait_for(|rate| *rate > 0.0).await;
    loop {
        if let Some((client, mut events)) = turn.connect(&format!("subscriber-{pair}"), false) {
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::ConnAck(_)) => {
                        let _ = client.try_subscribe(format!("t/{pair}"), QoS::AtLeastOnce);
                        // Beside its own filter: one that subscribers on every node have, as real ones do.
                        let _ = client.try_subscribe(SHARED, QoS::AtLeastOnce);
                    }
                    Event::Incoming(Packet::SubAck(_)) => {
                        ledger.lock().expect("not poisoned").subscribed = true;
                    }
                    Event::Incoming(Packet::Publish(publish)) => {
                        let number =
                            std::str::from_utf8(&publish.payload).ok().and_then(|text| text.parse().ok());
                        let mut ledger = ledger.lock().expect("not poisoned");
                        if !number.is_some_and(|number| ledger.received.insert(number)) {
                            ledger.repeated += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        sleep(BACK_OFF).await;
    }
}

async fn publisher(
    mut turn: Turn,
    pair: usize,
    pairs: usize,
    ledger: Arc<Mutex<Ledger>>,
    mut rate: watch::Receiver<f64>,
) {
    let mut number = 0u64;
    let _ = rate.wait_for(|rate| *rate > 0.0).await;
    loop {
        if let Some((client, mut events)) = turn.connect(&format!("publisher-{pair}"), true) {
            let _ = publish(&client, &mut events, pair, pairs, &mut number, &ledger, &mut rate).await;
        }
        sleep(BACK_OFF).await;
    }
}

/// Publishes on one connection until it breaks. `number` is the first message
/// that has not been acknowledged.
async fn publish(
    client: &AsyncClient,
    events: &mut EventLoop,
    pair: usize,
    pairs: usize,
    number: &mut u64,
    ledger: &Mutex<Ledger>,
    rate: &mut watch::Receiver<f64>,
) -> Option<()> {
    wait_for(events, |packet| matches!(packet, Packet::ConnAck(_))).await?;
    loop {
        let now = *rate.borrow_and_update();
        let due = sleep(Duration::from_secs_f64(pairs as f64 / now.max(0.001)));
        tokio::pin!(due);
        // Kept alive while it is not its turn: a ping does not put that off.
        let turn = loop {
            tokio::select! {
                event = events.poll() => { event.ok()?; }
                _ = rate.changed() => break false,
                () = &mut due, if now > 0.0 => break true,
            }
        };
        if !turn {
            continue;
        }
        client.try_publish(format!("t/{pair}"), QoS::AtLeastOnce, false, number.to_string()).ok()?;
        let acknowledged = wait_for(events, |packet| matches!(packet, Packet::PubAck(_)));
        timeout(ACKNOWLEDGED_WITHIN, acknowledged).await.ok()??;
        ledger.lock().expect("not poisoned").acknowledged.insert(*number);
        *number += 1;
    }
}

async fn wait_for(events: &mut EventLoop, is_it: impl Fn(&Packet) -> bool) -> Option<()> {
    loop {
        if let Event::Incoming(packet) = events.poll().await.ok()?
            && is_it(&packet)
        {
            return Some(());
        }
    }
}
