//! The judgement at the end of a run.

use super::Ledger;

/// Numbers of lost messages that a report names.
const NAMED_MAX: usize = 20;

/// What can be said of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledged, and received by everyone it was meant for.
    Delivered,
    /// Acknowledged, and a subscriber that is connected does not have it.
    Lost,
    /// Acknowledged, and missing only at subscribers that are away: it may be
    /// queued for them.
    SubscriberAway,
    /// Never acknowledged (the connection dropped or the run ended before), yet
    /// received by everyone it was meant for.
    UnacknowledgedDelivered,
    /// Never acknowledged and not received everywhere: nothing was promised.
    UnacknowledgedMissing,
    /// This run never sent it.
    NeverSent,
}

/// How many messages got which [`Verdict`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// See [`Verdict::Delivered`].
    pub delivered: u64,
    /// See [`Verdict::Lost`].
    pub lost: u64,
    /// See [`Verdict::SubscriberAway`].
    pub subscriber_away: u64,
    /// See [`Verdict::UnacknowledgedDelivered`].
    pub unacknowledged_delivered: u64,
    /// See [`Verdict::UnacknowledgedMissing`].
    pub unacknowledged_missing: u64,
    /// Messages of which a subscriber got a further copy, for whatever cause.
    pub duplicated: u64,
    /// The first numbers that were lost.
    pub lost_numbers: Vec<u64>,
}

impl Ledger {
    /// The verdict on message `number` as things stand.
    pub fn verdict(&self, number: u64) -> Verdict {
        if !self.given_out.contains(number) {
            return Verdict::NeverSent;
        }
        let (mut missing_here, mut missing_away) = (false, false);
        for (index, subscriber) in self.subscribers.iter().enumerate() {
            if self.is_meant_for(number, index) && !subscriber.seen.contains(number) {
                *if subscriber.here { &mut missing_here } else { &mut missing_away } = true;
            }
        }
        match (self.acknowledged.contains(number), missing_here, missing_away) {
            (true, true, _) => Verdict::Lost,
            (true, false, true) => Verdict::SubscriberAway,
            (true, false, false) => Verdict::Delivered,
            (false, false, false) => Verdict::UnacknowledgedDelivered,
            (false, ..) => Verdict::UnacknowledgedMissing,
        }
    }

    /// The verdicts on all messages as things stand.
    pub fn verdicts(&self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for number in 0..self.given_out.end() {
            match self.verdict(number) {
                Verdict::NeverSent => continue,
                Verdict::Delivered => verdicts.delivered += 1,
                Verdict::SubscriberAway => verdicts.subscriber_away += 1,
                Verdict::UnacknowledgedDelivered => verdicts.unacknowledged_delivered += 1,
                Verdict::UnacknowledgedMissing => verdicts.unacknowledged_missing += 1,
                Verdict::Lost => {
                    verdicts.lost += 1;
                    if verdicts.lost_numbers.len() < NAMED_MAX {
                        verdicts.lost_numbers.push(number);
                    }
                }
            }
            let again = self.subscribers.iter().any(|subscriber| subscriber.seen_again.contains(number));
            verdicts.duplicated += u64::from(again);
        }
        verdicts
    }
}

#[cfg(test)]
mod tests;
