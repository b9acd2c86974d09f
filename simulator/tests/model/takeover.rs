//! What a persistent session loses that is disconnected and comes back: on its own node nothing, on another one a
//! message now and then (`disconnect_loss.txt`).

use std::collections::BTreeSet;

use simulator::model::{Command, ConnId, Connect, Protocol, Settings, TakeoverLoss, Via};

use crate::harness::{Harness, leave_without_kill, name, settings};
use crate::recording;
use crate::recording::{count, line};

const LOSS: &str = recording!("disconnect_loss.txt");

fn recorded() -> Settings {
    Settings { takeover_loss: Some(TakeoverLoss::RECORDED), ..settings() }
}

/// A subscriber with its books.
struct Witness {
    id: String,
    conn: ConnId,
    acknowledged: BTreeSet<String>,
    received: BTreeSet<String>,
}

impl Witness {
    fn subscribed(harness: &mut Harness, k: u8, id: String) -> Self {
        let conn = harness.session(k, &id, Protocol::V4, false);
        harness.subscribe(conn, &id, 1);
        Self { id, conn, acknowledged: BTreeSet::new(), received: BTreeSet::new() }
    }

    fn publish(&mut self, harness: &mut Harness, publisher: ConnId, number: usize) {
        harness.publish(publisher, &self.id, &number.to_string(), 1);
        self.acknowledged.insert(number.to_string());
    }

    fn read(&mut self, harness: &mut Harness) {
        let got = std::mem::take(&mut harness.clients.get_mut(&self.conn).expect("it is there").got);
        self.received.extend(got.into_iter().map(|got| String::from_utf8_lossy(&got.payload).into_owned()));
    }

    fn is_cut(&self, harness: &Harness) -> bool {
        harness.seen(self.conn).closed.is_some()
    }

    /// After the last of what it had has been read.
    fn back(&mut self, harness: &mut Harness, k: u8) {
        self.read(harness);
        self.conn = harness.connect(k, Connect::new(self.id.clone(), Protocol::V4, false));
    }

    fn lost(&self) -> usize {
        self.acknowledged.difference(&self.received).count()
    }
}

fn read_all(all: &mut [Witness], harness: &mut Harness) {
    for witness in all {
        witness.read(harness);
    }
}

/// Cuts one session so often, each time with a message every 20 ms, and has it come back at once; `to` says where.
fn cut_and_back(cuts: usize, to: fn(usize) -> u8) -> usize {
    let mut harness = Harness::cluster(2, recorded());
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    let mut witness = Witness::subscribed(&mut harness, to(0), "s".into());
    for cut in 1..=cuts {
        let client_id = Some("s".into());
        harness.http(1, Command::SessionDisconnect { client_id, mountpoint: String::new(), cleanup: false });
        assert!(witness.is_cut(&harness), "cut {cut}");
        witness.publish(&mut harness, publisher, cut * 100);
        witness.back(&mut harness, to(cut));
        for m in 1..=50 {
            harness.run(20);
            witness.publish(&mut harness, publisher, cut * 100 + m);
        }
        witness.read(&mut harness);
    }
    harness.run(1_000);
    witness.read(&mut harness);
    assert_eq!(witness.acknowledged.len(), cuts * 51);
    witness.lost()
}

#[test]
fn moves_lose_as_recorded_and_returns_nothing() {
    let recorded = |head| {
        let rec = line(LOSS, head, 0);
        (count::<usize>(rec, "cuts "), count::<usize>(rec, "LOST "))
    };
    let (cuts, lost) = recorded("same cuts");
    assert_eq!(cut_and_back(cuts, |_| 2), lost);
    let (cuts, lost) = recorded("move cuts");
    assert_eq!(cut_and_back(cuts, |cut| 1 + u8::from(cut.is_multiple_of(2))), lost);
}

/// Suspends n3, waits, and disconnects its sessions in batches of `batch`; how many messages were lost of how many
/// sessions that moved. Messages go to all of them all the time, those that are away included.
fn drained(sessions: usize, batch: usize, wait_ms: u64) -> (usize, usize) {
    let mut harness = Harness::cluster(3, recorded());
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    let subscribed = |s| Witness::subscribed(&mut harness, 3, format!("s{s}"));
    let mut all: Vec<_> = (0..sessions).map(subscribed).collect();
    harness.http(1, leave_without_kill(&name(3)));
    harness.run(wait_ms);
    let mut number = 0;
    for first in (0..sessions).step_by(batch) {
        let ids = all.iter().skip(first).take(batch).map(|witness| witness.id.clone()).collect();
        harness.ask(
            1,
            Command::DisconnectClients { client_ids: Some(ids), mountpoint: String::new(), cleanup: false },
            Via::Http,
        );
        for _ in 0..20 {
            for (s, witness) in all.iter_mut().enumerate() {
                if witness.is_cut(&harness) {
                    witness.back(&mut harness, 1 + u8::from(s.is_multiple_of(2)));
                }
                witness.publish(&mut harness, publisher, number);
            }
            number += 1;
            harness.run(50);
            read_all(&mut all, &mut harness);
        }
    }
    harness.run(5_000);
    read_all(&mut all, &mut harness);
    assert_eq!(harness.status(3).num_online, 0, "all have moved");
    (all.iter().map(Witness::lost).sum(), sessions)
}

/// A message is lost by the move of one session, and each session moves once whatever the pace: neither smaller
/// batches nor a wait between suspension and the first of them (`max_drain_time` is 0.5 s) makes it fewer. More than
/// that only a real broker can tell; each cut of the recording was of one session.
#[test]
fn neither_smaller_batches_nor_a_wait_before_them_saves_a_message() {
    for (batch, wait_ms) in [(1, 0), (10, 0), (50, 0), (10, 1_000)] {
        assert_eq!(drained(120, batch, wait_ms), (3, 120), "batches of {batch} after {wait_ms} ms");
    }
}
