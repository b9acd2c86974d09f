//! A leave with `-k` that has begun: sessions offline, queues to the other
//! members, out of the membership, the end of the node.

use std::collections::VecDeque;

use lifecycle::Time;

use super::agenda::Task;
use super::node::Ix;
use super::queue::{ClientKey, Queue};
use super::session::Parting;
use super::{Answer, CallId, CloseReason, ClusterModel, Spread, Via};

/// Queues are moved in steps of this many milliseconds.
const STEP_MS: u64 = 100;
/// Every second step prints a line.
const LINE_EVERY: u64 = 2;
/// Time that a migration has from a SIGTERM until the node's tables are gone, and with them its process
/// (`sigterm_in_migration.txt`: 5.56 s).
const TABLES_CLOSE: u64 = 5_560;
/// Lines kept: a leave of an hour prints no more, the last ones are what counts.
const MOST_LINES: usize = 20_000;
/// Answer while a session will not end (`q4_still_online.txt` E).
const STILL_ONLINE: &str = "error, still online queues, check the logs, and retry!";
/// Answer on the last node (`flood_scale_down_3_to_1.txt`).
const NO_TARGET: &str = "Unknown error: no_target_available";

/// Where a leave is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offline,
    Moving,
    Leaving,
}

/// A leave that has begun on a node.
#[derive(Debug)]
pub(super) struct Migration {
    /// Calls that wait for it.
    pub(super) callers: Vec<CallId>,
    began: Time,
    offline_until: Time,
    phase: Phase,
    plan: VecDeque<(ClientKey, Ix)>,
    queues: (usize, usize),
    messages: (usize, usize),
    many: bool,
    budget_us: u64,
    steps: u64,
    lines: Vec<String>,
    conflicts: u64,
    /// A SIGTERM has taken the ground from under it: the coordinator gets an error, the members keep the node.
    pub(super) broken: bool,
}

impl Migration {
    pub(super) fn new(call: CallId, began: Time, offline_until: Time) -> Self {
        Self {
            callers: vec![call],
            began,
            offline_until,
            phase: Phase::Offline,
            plan: VecDeque::new(),
            queues: (0, 0),
            messages: (0, 0),
            many: false,
            budget_us: 0,
            steps: 0,
            lines: Vec::new(),
            conflicts: 0,
            broken: false,
        }
    }

    /// Queues are on their way.
    pub(super) fn busy(&self) -> bool {
        self.phase == Phase::Moving && self.queues.1 > 0
    }

    fn line(&mut self) {
        if self.lines.len() < MOST_LINES {
            let ((moved, all), (sent, total)) = (self.queues, self.messages);
            self.lines.push(format!("Migrated {moved}/{all} queues and {sent}/{total} messages"));
        }
    }
}

impl ClusterModel {
    /// Waits until no session is left, at most `--timeout`; then plans the migration.
    pub(super) fn leave_waits_offline(&mut self, ix: Ix) {
        let node = &self.nodes[ix.0];
        let Some(migration) = &node.migration else { return };
        let (until, life) = (migration.offline_until, node.life);
        if !node.queues.values().any(|queue| queue.pinned) {
            self.plan_migration(ix);
        } else if self.now >= until {
            self.end_leave(ix, STILL_ONLINE);
        } else {
            let next = self.later(STEP_MS).min(until);
            self.at(next, Task::LeaveOffline { node: ix, life });
        }
    }

    /// Ends a leave without effect on the membership; the listener stays deleted.
    fn end_leave(&mut self, ix: Ix, text: &str) {
        if let Some(migration) = self.nodes[ix.0].migration.take() {
            for call in migration.callers {
                self.answer(call, Answer::Text(text.into()));
            }
        }
    }

    fn plan_migration(&mut self, ix: Ix) {
        let fixed = self.vary(self.settings.timing.leave_fixed);
        let node = &self.nodes[ix.0];
        let mut targets: Vec<Ix> = node
            .disk
            .view
            .iter()
            .copied()
            .filter(|t| *t != ix && node.up.contains(t) && self.nodes[t.0].running())
            .collect();
        targets.sort();
        if targets.is_empty() {
            self.end_leave(ix, NO_TARGET);
            return;
        }
        let many = self.settings.rates.many;
        let node = &mut self.nodes[ix.0];
        let life = node.life;
        let queues: Vec<(ClientKey, usize)> = node
            .queues
            .iter()
            .filter(|(_, queue)| queue.drain_until.is_none())
            .map(|(key, queue)| (key.clone(), queue.len()))
            .collect();
        let Some(migration) = &mut node.migration else { return };
        migration.phase = Phase::Moving;
        migration.queues = (0, queues.len());
        migration.messages = (0, queues.iter().map(|(_, len)| len).sum());
        migration.many = queues.len() > many;
        // Round robin, whatever the clients do meanwhile (docs/broker/drain.md, "Paced or at once").
        migration.plan =
            queues.into_iter().zip(targets.iter().cycle()).map(|((key, _), target)| (key, *target)).collect();
        migration.line();
        let wait = if migration.plan.is_empty() { 0 } else { fixed };
        self.after(wait, Task::Migrate { node: ix, life });
    }

    /// Microseconds that a queue of `len` messages takes.
    fn cost(&self, len: usize, many: bool) -> u64 {
        let rates = &self.settings.rates;
        let rate = match (len, many) {
            (0, _) => rates.migrate_empty,
            (_, true) => rates.migrate_many,
            (_, false) => rates.migrate,
        };
        1_000_000 / rate.max(1)
    }

    /// A SIGTERM now: whether it comes in the midst of a migration, which it then breaks. One whose queues would have
    /// moved until its tables close, or that only holds stuck ones, is brought to its end instead.
    pub(super) fn breaks_its_leave(&mut self, ix: Ix) -> bool {
        let node = &self.nodes[ix.0];
        let Some(migration) = &node.migration else { return false };
        let movable = migration.plan.iter().filter_map(|(key, _)| node.queues.get(key)).filter(|q| !q.stuck);
        let left: u64 = movable.map(|queue| self.cost(queue.len(), migration.many)).sum();
        let broken = left > TABLES_CLOSE * 1_000;
        if let Some(migration) = &mut self.nodes[ix.0].migration {
            migration.broken = broken;
        }
        broken
    }

    /// One step of the migration.
    pub(super) fn migrate_some(&mut self, ix: Ix) {
        let life = self.nodes[ix.0].life;
        if self.nodes[ix.0].migration.as_ref().is_some_and(|migration| migration.broken) {
            return;
        }
        let Some(mut migration) = self.nodes[ix.0].migration.take() else { return };
        migration.budget_us += STEP_MS * 1_000;
        let mut stuck = Vec::new();
        while let Some((key, target)) = migration.plan.pop_front() {
            let (len, held) =
                self.nodes[ix.0].queues.get(&key).map_or((0, false), |queue| (queue.len(), queue.stuck));
            let cost = self.cost(len, migration.many);
            if held {
                stuck.push((key, target));
                continue;
            }
            if migration.budget_us < cost {
                migration.plan.push_front((key, target));
                break;
            }
            migration.budget_us -= cost;
            migration.queues.0 += 1;
            migration.messages.0 += len;
            self.migrate_one(ix, &key, target, &mut migration.conflicts);
        }
        migration.plan.extend(stuck);
        migration.steps += 1;
        let finished = migration.plan.is_empty();
        if finished || migration.steps.is_multiple_of(LINE_EVERY) {
            migration.line();
        }
        if !finished {
            self.nodes[ix.0].migration = Some(migration);
            self.after(STEP_MS, Task::Migrate { node: ix, life });
            return;
        }
        migration.phase = Phase::Leaving;
        let shortest = self.vary(self.settings.timing.leave_shortest);
        let done = Time(migration.began.0 + shortest).max(self.later(STEP_MS));
        self.nodes[ix.0].migration = Some(migration);
        self.after(STEP_MS / 2, Task::LeaveSplit { node: ix, life });
        self.at(done, Task::LeaveDone { node: ix, life });
    }

    /// Moves one queue where the plan says. If its client has come back on
    /// another node, the queue is pulled from under the live session, and
    /// every other time messages go on being routed to the place it was
    /// pulled from (docs/broker/drain.md, "Paced or at once").
    fn migrate_one(&mut self, ix: Ix, key: &ClientKey, target: Ix, conflicts: &mut u64) {
        let store = self.nodes[ix.0].disk.store;
        let Some(home) = self.store(store).clients.get(key).map(|record| record.home) else {
            // No record, nobody to send to.
            self.nodes[ix.0].queues.remove(key);
            return;
        };
        if home == ix {
            self.move_queue(key, ix, target, false);
            return;
        }
        self.nodes[ix.0].queues.remove(key);
        let live = self.nodes[home.0].queues.get(key).and_then(|queue| queue.conn);
        let Some(conn) = live.filter(|_| home != target) else { return };
        *conflicts += 1;
        let strand = conflicts.is_multiple_of(2);
        self.part(conn, Parting::Closed(CloseReason::TakenOver));
        if !strand {
            self.move_queue(key, home, target, false);
            return;
        }
        let now = self.now;
        let (protocol, persistent) = self.nodes[home.0]
            .queues
            .get(key)
            .map_or((super::Protocol::V4, true), |queue| (queue.protocol, queue.persistent));
        let moved = &mut self.nodes[target.0].queues;
        moved.entry(key.clone()).or_insert_with(|| Queue::new(protocol, persistent, now));
        let store = self.store_mut(store);
        store.rehome(key, target);
        store.reroute(key, home);
    }

    /// The leaver takes itself out of its membership: `/health` is 503.
    pub(super) fn leave_splits(&mut self, ix: Ix) {
        let node = &mut self.nodes[ix.0];
        node.disk.view.remove(&ix);
        node.alone_until = Time(0);
        node.joining = None;
    }

    /// What it knew of the cluster stays on its disk and is nobody else's any more.
    pub(super) fn own_store(&mut self, ix: Ix) {
        let store = self.nodes[ix.0].disk.store;
        let copy = self.store(store).clone();
        self.nodes[ix.0].disk.store = self.new_store(copy);
    }

    /// `Done`: the others lose the link and, one soon and the rest with the end of the process, the member.
    pub(super) fn leave_done(&mut self, ix: Ix) {
        let Some(migration) = self.nodes[ix.0].migration.take() else { return };
        let told = self.told_of_leave(ix, &migration.callers);
        for call in &migration.callers {
            let admin = self.calls.get(call).is_some_and(|open| open.via == Via::Admin);
            let mut lines = if admin { migration.lines.clone() } else { Vec::new() };
            lines.push("Done".into());
            self.answer(*call, Answer::Text(lines.join("\n")));
        }
        self.own_store(ix);
        let timing = self.settings.timing.clone();
        let node = &mut self.nodes[ix.0];
        node.leaving = true;
        let life = node.life;
        let down = self.vary(timing.leave_http_down);
        let exit = self.vary(timing.leave_exit);
        self.after(down, Task::HttpDown { node: ix, life });
        self.after(exit.max(down), Task::Exit { node: ix, life, code: 0 });
        for at in 0..self.nodes.len() {
            let at = Ix(at);
            if at != ix && self.nodes[at.0].disk.view.contains(&ix) {
                let refuse = self.vary(timing.not_ready);
                let until = self.later(refuse);
                let member = &mut self.nodes[at.0];
                if !member.alive() {
                    member.disk.view.remove(&ix);
                    continue;
                }
                let life = member.life;
                member.not_ready_until = until;
                if told == Some(at) {
                    let seen = self.vary(timing.leave_seen);
                    self.after(seen, Task::ViewRemove { at, life, member: ix });
                }
            }
        }
    }

    /// The survivor that drops the leaver before its process has ended, if any does in this leave.
    fn told_of_leave(&mut self, ix: Ix, callers: &[CallId]) -> Option<Ix> {
        if self.vary(Spread::new(0, 99)) >= self.settings.rates.leave_told_percent {
            return None;
        }
        let asked: Vec<Ix> = callers.iter().filter_map(|call| self.calls.get(call)?.at).collect();
        let hears = |at: &Ix| {
            let node = &self.nodes[at.0];
            *at != ix && node.alive() && !node.deaf && node.disk.view.contains(&ix)
        };
        let all: Vec<Ix> = (0..self.nodes.len()).map(Ix).filter(hears).collect();
        let others: Vec<Ix> = all.iter().copied().filter(|at| !asked.contains(at)).collect();
        let from = if others.is_empty() { all } else { others };
        let last = u64::try_from(from.len()).ok()?.checked_sub(1)?;
        from.get(usize::try_from(self.vary(Spread::new(0, last))).ok()?).copied()
    }
}
