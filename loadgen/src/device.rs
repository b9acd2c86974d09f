//! A device: connect, publish, wait for the acknowledgement, disconnect, pause.

use std::sync::Arc;
use std::time::Duration;

use crate::books::Message;
use crate::session::{Session, Source};
use crate::shared::{Role, Shared};

/// A device sends what it has and asks for nothing more.
struct NothingMore<'a> {
    shared: &'a Shared,
    /// When the run was first seen to be over.
    over: Option<Duration>,
}

impl NothingMore<'_> {
    fn look(&mut self, now: Duration) -> bool {
        let past_end = self.shared.sends_until().is_some_and(|end| end <= now);
        if self.over.is_none() && (past_end || self.shared.stop.is_stopped()) {
            self.over = Some(now);
        }
        self.over.is_some()
    }
}

impl Source for NothingMore<'_> {
    fn take(&mut self, now: Duration) -> Option<Message> {
        self.look(now);
        None
    }

    fn next_due(&mut self, _now: Duration) -> Option<Duration> {
        None
    }

    fn is_over(&mut self, now: Duration) -> bool {
        self.look(now);
        true
    }

    fn give_up_at(&self) -> Option<Duration> {
        self.over.map(|at| at + self.shared.plan.limits.drain)
    }
}

/// Runs device `index` until the plan's end.
pub(crate) async fn live(shared: Arc<Shared>, index: usize, cycle: Duration) {
    let mut who = shared.identity(Role::Publisher, index);
    let Some(begun) = shared.begun().await else { return };
    // Spread over the cycle, so that the devices do not knock all at once.
    let phase = cycle.mul_f64(index as f64 / shared.plan.connections as f64);
    let mut source = NothingMore { shared: &shared, over: None };
    let mut turn = 0_u32;
    loop {
        let intended = begun + phase + cycle.saturating_mul(turn);
        tokio::select! {
            () = shared.clock.sleep_until(intended) => {}
            () = shared.stop.stopped() => {}
        }
        if source.look(shared.clock.now()) {
            return;
        }
        let Some(number) = shared.take_number() else { return };
        who.start_anew();
        let mut unfinished = vec![Message::new(number, intended)];
        while !unfinished.is_empty() {
            if let Ok(connection) = shared.connect(&mut who).await {
                let result;
                (unfinished, result) = Session::run(&shared, &mut source, connection, unfinished).await;
                if result.is_ok() {
                    break;
                }
                if unfinished.is_empty() {
                    // Lost after the acknowledgement, before our goodbye was out.
                    break;
                }
            }
            source.look(shared.clock.now());
            if source.give_up_at().is_some_and(|at| at <= shared.clock.now()) {
                return;
            }
            who.back_off(&shared, &shared.stop).await;
        }
        let next = next_turn(turn, shared.clock.now().saturating_sub(begun + phase), cycle);
        shared.books(|books| books.cycles_missed += u64::from(next - turn - 1));
        turn = next;
    }
}

/// The turn after `turn` that lies in the future: a device that was kept waiting
/// does not make up for what it missed.
fn next_turn(turn: u32, since_first: Duration, cycle: Duration) -> u32 {
    let passed = since_first.as_nanos() / cycle.as_nanos().max(1);
    u32::try_from(passed).unwrap_or(u32::MAX - 1).max(turn) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_cycles_are_skipped() {
        let cycle = Duration::from_secs(1);
        assert_eq!(next_turn(0, Duration::from_millis(20), cycle), 1);
        assert_eq!(next_turn(3, Duration::from_millis(7_500), cycle), 8);
        assert_eq!(next_turn(3, Duration::from_millis(2_900), cycle), 4);
    }
}
