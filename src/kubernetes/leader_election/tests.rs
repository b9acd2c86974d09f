use proptest::prelude::*;

use super::*;

fn held(holder: &str, version: &str) -> Record {
    Record {
        holder: Some(holder.into()),
        version: version.into(),
        transitions: 3,
        duration: Some(Duration::from_secs(15)),
    }
}

fn seconds(seconds: u64) -> Time {
    Time(seconds * 1_000)
}

#[test]
fn takes_a_lease_only_after_it_stood_still_for_fifteen_seconds_of_ours() {
    let mut us = Election::new("us".into(), Timing::default());
    assert_eq!(us.observe(Some(&held("them", "1")), seconds(100)), Move::Wait);
    assert_eq!(us.observe(Some(&held("them", "1")), seconds(114)), Move::Wait);
    assert_eq!(us.observe(Some(&held("them", "2")), seconds(115)), Move::Wait, "renewed: counts anew");
    assert_eq!(us.observe(Some(&held("them", "2")), seconds(129)), Move::Wait);
    assert_eq!(
        us.observe(Some(&held("them", "2")), seconds(130)),
        Move::Write { version: Some("2".into()), transitions: 4, acquire: true }
    );
    assert!(!us.leads(seconds(130)), "a write that is not yet answered is no lease");
    us.written(seconds(130));
    assert!(us.leads(seconds(139)) && !us.leads(seconds(140)), "we stop five seconds before others begin");
}

#[test]
fn a_released_or_absent_lease_is_free_at_once() {
    let mut us = Election::new("us".into(), Timing::default());
    assert_eq!(us.observe(None, seconds(1)), Move::Write { version: None, transitions: 0, acquire: true });
    let released = Record { holder: Some(String::new()), ..held("", "7") };
    assert!(matches!(us.observe(Some(&released), seconds(1)), Move::Write { acquire: true, .. }));
}

#[test]
fn whoever_sees_another_holder_stops_at_once() {
    let mut us = Election::new("us".into(), Timing::default());
    us.written(seconds(10));
    assert!(us.leads(seconds(11)));
    assert_eq!(us.observe(Some(&held("them", "9")), seconds(11)), Move::Wait);
    assert!(!us.leads(seconds(11)));
}

/// A lease of one object on a server that takes a write only at the version it was read.
#[derive(Default)]
struct Server {
    record: Option<Record>,
    version: u64,
}

impl Server {
    fn write(&mut self, by: &str, wanted: Option<&str>, transitions: u32) -> bool {
        if self.record.as_ref().map(|record| record.version.as_str()) != wanted {
            return false;
        }
        self.version += 1;
        self.record = Some(Record {
            holder: Some(by.into()),
            version: self.version.to_string(),
            transitions,
            duration: Some(Duration::from_secs(15)),
        });
        true
    }
}

proptest! {
    /// Two candidates with clocks of their own, looks at any time, answers late or lost: never do both lead.
    #[test]
    fn never_two_leaders(
        steps in prop::collection::vec((0usize..2, 1u64..4_000, 0u64..6_000, prop::bool::weighted(0.8)), 1..200)
    ) {
        let mut server = Server::default();
        let offsets = [0, 977_000_000];
        let mut both =
            [Election::new("a".into(), Timing::default()), Election::new("b".into(), Timing::default())];
        // True time; answers on their way: (arrives, who, sent).
        let mut now = 1_000_000;
        let mut underway: Vec<(u64, usize, u64)> = Vec::new();
        for (who, pause, delay, answered) in steps {
            now += pause;
            underway.retain(|(arrives, whose, sent)| {
                if *arrives > now {
                    return true;
                }
                both[*whose].written(Time(sent + offsets[*whose]));
                false
            });
            // One call at a time, as the task makes them.
            if underway.iter().all(|(_, whose, _)| *whose != who)
                && let Move::Write { version, transitions, .. } =
                    both[who].observe(server.record.clone().as_ref(), Time(now + offsets[who]))
            {
                let name = both[who].identity().to_owned();
                if server.write(&name, version.as_deref(), transitions) && answered {
                    underway.push((now + delay, who, now));
                }
            }
            let leads = |who: usize| both[who].leads(Time(now + offsets[who]));
            prop_assert!(!(leads(0) && leads(1)), "both lead at {now}");
        }
    }
}
