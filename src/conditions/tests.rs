use super::*;

fn told(name: &'static str, message: &str, blocks: bool) -> Told {
    Told { name, severity: Severity::Warning, message: message.into(), blocks }
}

fn status<'a>(conditions: &'a [Condition], name: &str) -> Option<(&'a str, String)> {
    let found = conditions.iter().find(|condition| condition.type_ == name)?;
    Some((found.status.as_str(), found.last_transition_time.0.to_string()))
}

#[test]
fn a_condition_begins_once_stands_and_ends() {
    let (first, begun) =
        merge(&[], &[told("MemberDead", "1 of 3", false)], Rest::Ended, Some(2), Time(1_000));
    assert_eq!(begun.len(), 1);
    assert_eq!(status(&first, "MemberDead"), Some(("True", "1970-01-01T00:00:01Z".into())));

    let (second, begun) =
        merge(&first, &[told("MemberDead", "2 of 3", false)], Rest::Ended, Some(2), Time(2_000));
    assert_eq!(begun, [], "one Event, however long it stands and whatever its numbers");
    assert_eq!(status(&second, "MemberDead"), Some(("True", "1970-01-01T00:00:01Z".into())));
    assert!(second.iter().any(|condition| condition.message == "2 of 3"), "the message is of today");

    let (third, _) = merge(&second, &[], Rest::Ended, Some(2), Time(3_000));
    assert_eq!(status(&third, "MemberDead"), Some(("False", "1970-01-01T00:00:03Z".into())));
    let (fourth, begun) =
        merge(&third, &[told("MemberDead", "again", false)], Rest::Ended, Some(2), Time(4_000));
    assert_eq!(begun.len(), 1);
    assert_eq!(status(&fourth, "MemberDead"), Some(("True", "1970-01-01T00:00:04Z".into())));
}

/// Nobody has seen that it is over: alerts that wait for a time go on waiting.
#[test]
fn what_a_failed_reconcile_does_not_tell_stands_as_before() {
    let (first, _) = merge(&[], &[told("MemberDead", "", false)], Rest::Ended, None, Time(1_000));
    let (second, begun) = merge(&first, &[told("ReconcileFailed", "", true)], Rest::Kept, None, Time(2_000));
    assert_eq!(begun.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), ["ReconcileFailed"]);
    let (third, begun) = merge(&second, &[told("MemberDead", "", false)], Rest::Ended, None, Time(3_000));
    assert_eq!(begun, []);
    for conditions in [second, third] {
        assert_eq!(status(&conditions, "MemberDead"), Some(("True", "1970-01-01T00:00:01Z".into())));
    }
}

#[test]
fn ready_is_false_with_the_name_of_what_blocks() {
    let (blocked, _) = merge(
        &[],
        &[told("PreStopLeaves", "", false), told("TargetMissing", "no", true)],
        Rest::Ended,
        None,
        Time(0),
    );
    let ready = blocked.iter().find(|condition| condition.type_ == READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "TargetMissing"));
    let (free, _) = merge(&blocked, &[told("PreStopLeaves", "", false)], Rest::Ended, None, Time(1_000));
    assert_eq!(status(&free, READY), Some(("True", "1970-01-01T00:00:01Z".into())));
}

/// `kubectl wait --for=condition=Ready` is an alarm.
#[test]
fn ready_is_false_while_something_critical_stands() {
    let ready = |severity: Severity| {
        let one = Told { severity, ..told("MemberDead", "1 of 3", false) };
        let (conditions, _) = merge(&[], &[told("CallFailed", "", false), one], Rest::Ended, None, Time(0));
        conditions[0].clone()
    };
    let alarm = ready(Severity::Critical);
    assert_eq!((alarm.type_.as_str(), alarm.status.as_str()), (READY, "False"));
    assert_eq!((alarm.reason.as_str(), alarm.message.as_str()), ("MemberDead", "1 of 3"));
    let fine = ready(Severity::Warning);
    assert_eq!((fine.status.as_str(), fine.reason.as_str()), ("True", "Working"));
}

/// Whoever reads a condition that stands no more must not read the old alarm.
#[test]
fn what_has_ended_has_a_reason_and_a_text_of_its_own() {
    let alarm =
        Told { severity: Severity::Critical, ..told("MembersDisagree", "pod 2: delete its claim", false) };
    let (first, _) = merge(&[], std::slice::from_ref(&alarm), Rest::Ended, None, Time(1_000));
    let (second, _) = merge(&first, &[], Rest::Ended, None, Time(2_000));
    let said = |conditions: &[Condition]| {
        let one = conditions.iter().find(|one| one.type_ == "MembersDisagree").unwrap().clone();
        (one.status, one.reason, one.message)
    };
    let over = ("False".into(), "Ended".into(), "all members agree, since 1970-01-01T00:00:02Z".into());
    assert_eq!(said(&second), over);
    let (third, begun) = merge(&second, &[], Rest::Ended, None, Time(9_000));
    assert_eq!((said(&third), begun), (over.clone(), vec![]), "it ended when it ended");
    // As an older version left it.
    let mut left = second;
    left[1].reason = "Critical".into();
    left[1].message = "pod 2: delete its claim".into();
    assert_eq!(said(&merge(&left, &[], Rest::Kept, None, Time(9_000)).0), over);
}

/// Nobody sees that it is over, and nobody will before a person mends what blocks.
#[test]
fn what_a_reconcile_that_cannot_go_on_does_not_see_is_unknown() {
    let (first, _) = merge(&[], &[told("MemberDead", "", false)], Rest::Ended, None, Time(1_000));
    let blocked = [told("TargetMissing", "", true)];
    let (second, _) = merge(&first, &blocked, Rest::Unseen, None, Time(2_000));
    let (third, _) = merge(&second, &blocked, Rest::Unseen, None, Time(3_000));
    for conditions in [&second, &third] {
        assert_eq!(status(conditions, "MemberDead"), Some(("Unknown", "1970-01-01T00:00:02Z".into())));
    }
    let (seen, begun) = merge(&third, &[told("MemberDead", "", false)], Rest::Ended, None, Time(4_000));
    assert_eq!((status(&seen, "MemberDead").unwrap().0, begun.len()), ("True", 1));
}

/// Whoever was told of a Warning is told when it becomes worse, once.
#[test]
fn what_becomes_worse_is_news_again() {
    let at = |before: &[Condition], severity: Severity, second: u64| {
        let one = Told { severity, ..told("MembersDisagree", "", false) };
        let (after, begun) = merge(before, &[one], Rest::Ended, None, Time(second * 1_000));
        (after, begun.iter().map(|one| one.severity).collect::<Vec<_>>())
    };
    let (first, _) = at(&[], Severity::Warning, 1);
    let (worse, begun) = at(&first, Severity::Critical, 2);
    assert_eq!(begun, [Severity::Critical]);
    assert_eq!(at(&worse, Severity::Critical, 3).1, []);
    assert_eq!(at(&worse, Severity::Warning, 3).1, []);
}

/// What a step tells under the name of its wait says more than that it waits.
#[test]
fn a_wait_that_is_told_by_its_step_is_told_once() {
    let intent = serde_json::from_value(serde_json::json!({
        "epoch": 1, "kind": "Shrink", "ordinal": 2, "podUid": null, "node": null, "listeners": [],
        "step": "Fence", "started": 0, "entered": 0,
    }))
    .unwrap();
    let wait = lifecycle::Wait { name: "NotKnown", until: Time(10_000), remedy: "see", because: None };
    let condition = lifecycle::Condition {
        reason: "NotKnown",
        severity: Severity::Info,
        message: "NumbersUnknown: no rate yet".into(),
    };
    let output =
        Output { intent: Some(intent), wait: Some(wait), conditions: vec![condition], ..Output::default() };
    let told = of_output(&output, Time(15_000));
    assert_eq!(
        told.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(),
        ["NumbersUnknown: no rate yet"]
    );
}

#[test]
fn the_list_is_bounded_and_what_stands_is_kept() {
    let names: Vec<&'static str> =
        (0..100).map(|i| &*Box::leak(format!("Name{i}").into_boxed_str())).collect();
    let mut conditions = Vec::new();
    for (second, name) in (0u64..).zip(&names) {
        (conditions, _) = merge(
            &conditions,
            &[told(name, "", false), told("Stays", "", false)],
            Rest::Ended,
            None,
            Time(second * 1_000),
        );
    }
    assert_eq!(conditions.len(), CONDITIONS_MAX);
    assert!(status(&conditions, "Stays").is_some_and(|(status, _)| status == "True"));
    assert!(status(&conditions, names[0]).is_none() && status(&conditions, names[98]).is_some());
}

#[test]
fn an_overdue_wait_has_its_name() {
    let intent = serde_json::from_value(serde_json::json!({
        "epoch": 1, "kind": "Shrink", "ordinal": 2, "podUid": null, "node": null, "listeners": [],
        "step": "PodGone", "started": 0, "entered": 0,
    }))
    .unwrap();
    let wait =
        lifecycle::Wait { name: "PodGone", until: Time(10_000), remedy: "see its finalizers", because: None };
    let output = Output { intent: Some(intent), wait: Some(wait), ..Output::default() };
    assert_eq!(of_output(&output, Time(10_000)), []);
    let told = of_output(&output, Time(15_000));
    assert_eq!(told[0].name, "PodGone");
    let words = ["ordinal 2", "5 s", "see its finalizers"];
    assert!(words.iter().all(|word| told[0].message.contains(word)), "{}", told[0].message);
}

/// I11: what is meant to end by itself, and does not.
#[test]
fn what_outlasts_its_time_becomes_a_warning_with_one_event() {
    let held =
        Told { severity: Severity::InfoFor(Duration::from_mins(15)), ..told("ShrinkWaits", "held", false) };
    let at = |before: &[Condition], second: u64| {
        merge(before, std::slice::from_ref(&held), Rest::Ended, None, Time(second * 1_000))
    };
    let reason = |conditions: &[Condition]| conditions[1].reason.clone();
    let severities = |begun: &[Happened]| begun.iter().map(|one| one.severity).collect::<Vec<_>>();
    let (first, begun) = at(&[], 100);
    assert_eq!((reason(&first).as_str(), severities(&begun)), ("Info", vec![Severity::Info]));
    let (still, begun) = at(&first, 1_000);
    assert_eq!((reason(&still).as_str(), severities(&begun)), ("Info", vec![]));
    let (late, begun) = at(&still, 1_001);
    assert_eq!((reason(&late).as_str(), severities(&begun)), ("Warning", vec![Severity::Warning]));
    let (later, begun) = at(&late, 2_000);
    assert_eq!((reason(&later).as_str(), severities(&begun)), ("Warning", vec![]));
    let (ended, _) = merge(&later, &[], Rest::Ended, None, Time(2_100_000));
    let (again, begun) = at(&ended, 2_200);
    assert_eq!(
        (reason(&again).as_str(), severities(&begun)),
        ("Info", vec![Severity::Info]),
        "it begins anew"
    );
}
