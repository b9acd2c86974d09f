//! A connection that publishes at a rate or as fast as it can.

use std::sync::Arc;
use std::time::Duration;

use crate::books::Message;
use crate::ledger::Ledger;
use crate::plan::Load;
use crate::session::{Session, Source};
use crate::shared::{Role, Shared};

/// The messages of one connection out of the run's.
struct Share<'a> {
    shared: &'a Shared,
    index: u64,
    /// At a rate: how many of ours were taken. Message `n` of the run belongs to
    /// connection `n mod connections`: each device keeps its own schedule, so a
    /// connection that stalls is late with its messages alone, and visibly so.
    taken: u64,
    over: bool,
    /// When the end was first seen: past the plan's, stopped, or over.
    ended: Option<Duration>,
}

impl Share<'_> {
    fn number(&self) -> u64 {
        self.index + self.taken * self.shared.plan.connections as u64
    }

    /// When our next message is meant to go; `Err`: never.
    fn intended(&self) -> Result<Option<Duration>, Over> {
        let until = &self.shared.plan.until;
        let number = self.number();
        if number >= until.count.unwrap_or(Ledger::LIMIT) {
            return Err(Over);
        }
        let intended = self.shared.pace.borrow().schedule.intended(number);
        let end = self.shared.sends_until();
        if end.is_some_and(|end| intended.is_some_and(|intended| intended >= end)) {
            return Err(Over);
        }
        Ok(intended)
    }

    fn flood(&self) -> bool {
        matches!(self.shared.plan.load, Load::Flood)
    }
}

struct Over;

impl Source for Share<'_> {
    fn take(&mut self, now: Duration) -> Option<Message> {
        if self.is_over(now) || self.shared.pace.borrow().begun.is_none() {
            return None;
        }
        if self.flood() {
            let Some(number) = self.shared.take_number() else {
                self.over = true;
                self.ended.get_or_insert(now);
                return None;
            };
            return Some(Message::new(number, now));
        }
        let intended = self.intended().ok()?.filter(|intended| *intended <= now)?;
        let number = self.number();
        self.taken += 1;
        Some(Message::new(number, intended))
    }

    fn next_due(&mut self, _now: Duration) -> Option<Duration> {
        if self.flood() { None } else { self.intended().ok().flatten() }
    }

    fn is_over(&mut self, now: Duration) -> bool {
        if self.over {
            return true;
        }
        let past_end = self.shared.sends_until().is_some_and(|end| end <= now);
        let stopped = self.shared.stop.is_stopped();
        if past_end || stopped {
            self.ended.get_or_insert(now);
        }
        // What was due before the end is still sent after it, for a while: to leave
        // out the latest ones would flatter the latencies.
        let exhausted = match self.intended() {
            _ if self.flood() => past_end,
            Ok(None) => past_end,
            Ok(Some(_)) => false,
            Err(Over) => true,
        };
        self.over = stopped || exhausted;
        if self.over {
            self.ended.get_or_insert(now);
        }
        self.over
    }

    fn give_up_at(&self) -> Option<Duration> {
        self.ended.map(|at| at + self.shared.plan.limits.drain)
    }
}

/// Publishes until the plan's end; reconnects and sends again what was not acknowledged.
pub(crate) async fn publish(shared: Arc<Shared>, index: usize) {
    let mut who = shared.identity(Role::Publisher, index);
    let mut share = Share { shared: &shared, index: index as u64, taken: 0, over: false, ended: None };
    let mut unfinished = Vec::new();
    let mut tried = false;
    loop {
        let now = shared.clock.now();
        if share.is_over(now) && unfinished.is_empty() {
            return;
        }
        if share.give_up_at().is_some_and(|at| at <= now) {
            return;
        }
        let connection = shared.connect(&mut who).await;
        if !std::mem::replace(&mut tried, true) {
            shared.ready.send_modify(|ready| ready.0 += 1);
        }
        if let Ok(connection) = connection {
            let result;
            (unfinished, result) = Session::run(&shared, &mut share, connection, unfinished).await;
            if result.is_ok() {
                return;
            }
        }
        who.back_off(&shared, &shared.stop).await;
    }
}
