//! The ledger against a plain model that remembers everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Audience, Copies, Copy, Ledger};
use super::{Verdict, Verdicts};

fn one_subscriber() -> Ledger {
    let mut ledger = Ledger::new(1, Audience::Everyone);
    ledger.arrived(0);
    ledger
}

#[test]
fn acknowledged_and_received_is_delivered() {
    let mut ledger = one_subscriber();
    ledger.publishing(0);
    assert!(ledger.acknowledged(0) && !ledger.is_settled());
    assert_eq!(ledger.received(0, 0, false), Copy::First);
    assert!(ledger.is_settled());
    assert_eq!(ledger.verdict(0), Verdict::Delivered);
}

#[test]
fn a_delivery_before_the_acknowledgement_counts() {
    let mut ledger = one_subscriber();
    ledger.publishing(0);
    ledger.received(0, 0, false);
    assert_eq!(ledger.verdict(0), Verdict::UnacknowledgedDelivered);
    ledger.acknowledged(0);
    assert!(ledger.is_settled() && ledger.verdict(0) == Verdict::Delivered);
}

#[test]
fn missing_is_lost_only_at_a_subscriber_that_is_here() {
    let mut ledger = one_subscriber();
    ledger.publishing(7);
    ledger.acknowledged(7);
    assert_eq!(ledger.verdict(7), Verdict::Lost);
    ledger.left(0);
    assert_eq!(ledger.verdict(7), Verdict::SubscriberAway);
}

#[test]
fn without_an_acknowledgement_nothing_is_lost() {
    let mut ledger = one_subscriber();
    ledger.publishing(0);
    assert_eq!(ledger.verdict(0), Verdict::UnacknowledgedMissing);
    assert!(ledger.is_settled());
}

#[test]
fn further_copies_are_told_apart_by_their_cause() {
    let mut ledger = one_subscriber();
    for number in 0..3 {
        ledger.publishing(number);
        ledger.acknowledged(number);
        ledger.received(0, number, false);
    }
    ledger.publishing(0);
    assert_eq!(ledger.received(0, 0, true), Copy::ByResend);
    assert_eq!(ledger.received(0, 1, true), Copy::Redelivered);
    assert_eq!(ledger.received(0, 2, false), Copy::ByBroker);
    assert_eq!(ledger.received(0, 99, false), Copy::Foreign);
    assert_eq!(ledger.copies(), Copies { by_resend: 1, redelivered: 1, by_broker: 1, foreign: 1 });
    assert_eq!((ledger.verdicts().duplicated, ledger.verdicts().delivered), (3, 3));
}

#[test]
fn a_share_is_missed_by_its_own_subscriber_alone() {
    let mut ledger = Ledger::new(2, Audience::Share);
    ledger.arrived(0);
    ledger.arrived(1);
    for number in 0..2 {
        ledger.publishing(number);
        ledger.acknowledged(number);
    }
    assert_eq!(ledger.missing(), 2);
    ledger.received(0, 0, false);
    assert_eq!((ledger.verdict(0), ledger.verdict(1)), (Verdict::Delivered, Verdict::Lost));
    assert_eq!(ledger.received(0, 1, false), Copy::Foreign);
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u64),
    Acknowledge(u64),
    Receive(usize, u64, bool),
    Arrive(usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0_u64..40;
    prop_oneof![
        4 => number.clone().prop_map(Step::Publish),
        4 => number.clone().prop_map(Step::Acknowledge),
        6 => (0_usize..3, number, any::<bool>()).prop_map(|(who, number, dup)| Step::Receive(who, number, dup)),
        1 => (0_usize..3).prop_map(Step::Arrive),
        1 => (0_usize..3).prop_map(Step::Leave),
    ]
}

/// One message as a human would note it down.
#[derive(Default)]
struct Note {
    published: u32,
    acknowledged: bool,
    copies: [u32; 3],
}

impl Note {
    fn judge(&self, here: [bool; 3], verdicts: &mut Verdicts, number: u64) {
        let missing = |present: bool| (0..3).any(|who| self.copies[who] == 0 && here[who] == present);
        let verdict = match (self.acknowledged, missing(true), missing(false)) {
            (true, true, _) => {
                verdicts.lost_numbers.push(number);
                &mut verdicts.lost
            }
            (true, false, true) => &mut verdicts.subscriber_away,
            (true, false, false) => &mut verdicts.delivered,
            (false, false, false) => &mut verdicts.unacknowledged_delivered,
            (false, ..) => &mut verdicts.unacknowledged_missing,
        };
        *verdict += 1;
        verdicts.duplicated += u64::from(self.copies.iter().any(|copies| *copies > 1));
    }
}

proptest! {
    #[test]
    fn agrees_with_the_plain_model(steps in prop::collection::vec(step(), 0..300)) {
        let mut ledger = Ledger::new(3, Audience::Everyone);
        let mut notes = BTreeMap::<u64, Note>::new();
        let mut here = [false; 3];
        let mut copies = Copies::default();
        for step in steps {
            match step {
                Step::Publish(number) => {
                    ledger.publishing(number);
                    notes.entry(number).or_default().published += 1;
                }
                Step::Acknowledge(number) => {
                    if let Some(note) = notes.get_mut(&number) {
                        prop_assert_eq!(ledger.acknowledged(number), !note.acknowledged);
                        note.acknowledged = true;
                    }
                }
                Step::Receive(who, number, dup) => {
                    let copy = ledger.received(who, number, dup);
                    let Some(note) = notes.get_mut(&number) else {
                        prop_assert_eq!(copy, Copy::Foreign);
                        copies.foreign += 1;
                        continue;
                    };
                    note.copies[who] += 1;
                    match (note.copies[who], note.published, dup) {
                        (1, ..) => prop_assert_eq!(copy, Copy::First),
                        (_, 2.., _) => copies.by_resend += 1,
                        (_, _, true) => copies.redelivered += 1,
                        (_, _, false) => copies.by_broker += 1,
                    }
                }
                Step::Arrive(who) => { ledger.arrived(who); here[who] = true; }
                Step::Leave(who) => { ledger.left(who); here[who] = false; }
            }
        }
        let mut expected = Verdicts::default();
        let mut missing = 0;
        for (number, note) in &notes {
            note.judge(here, &mut expected, *number);
            missing += if note.acknowledged { note.copies.iter().filter(|copies| **copies == 0).count() } else { 0 };
        }
        expected.lost_numbers.truncate(20);
        prop_assert_eq!(ledger.verdicts(), expected);
        prop_assert_eq!(ledger.copies(), copies);
        prop_assert_eq!(ledger.missing(), missing as u64);
    }
}
