//! The real exporter against the fleet: what the model counts is what comes out on `/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

use autoscaler::metrics::sys_name;
use simulator::model::Settings;
use tokio::time::sleep;
use vernescale::mqtt::options::Options;

use crate::scrape::{Page, Scraped};
use crate::support::{Raw, Trio, name, no_key, publish_packet};

/// `$SYS` so often, so that a test is ten ticks long instead of ten minutes.
const INTERVAL: Duration = Duration::from_secs(2);
const CLIENT: &str = "the-exporter";

fn fast() -> Settings {
    Settings { systree_interval: INTERVAL, ..no_key() }
}

/// Options of an exporter that knows one member only.
fn through(trio: &Trio, n: u8) -> Options {
    let address = format!("mqtt://{}", trio.mqtt(n)).parse().unwrap();
    Options::new(address, CLIENT.to_owned(), vec!["$SYS/#".to_owned()], None).unwrap()
}

/// Publishes so often to a node and waits for each acknowledgement.
async fn publish(trio: &Trio, n: u8, version: u8, count: u16) {
    let (mut raw, connack) = Raw::connect(trio.mqtt(n), version, &format!("p{n}{version}"), 2).await;
    assert!(connack.starts_with("20"), "{connack}");
    for id in 1..=count {
        raw.send(&publish_packet(version, "load/test", b"x", 1, id)).await;
        raw.packet().await.expect("a PUBACK");
    }
    raw.send_hex("e000").await;
}

fn published(page: &Page, n: u8) -> Option<f64> {
    page.published(&name(n).0)
}

fn up(page: &Page, n: u8) -> Option<f64> {
    page.value("vernescale_node_up", &[("node", &name(n).0)])
}

/// Waits until the counts of all three are these.
async fn counts(exporter: &Scraped, wanted: [f64; 3]) -> Page {
    let all = |page: &Page| [1, 2, 3].map(|n| published(page, n)) == wanted.map(Some);
    exporter.until(&format!("{wanted:?}"), all).await
}

/// What the model would send of a node at this moment, by name.
fn model(trio: &Trio, n: u8) -> BTreeMap<String, f64> {
    let values = trio.fleet.with_model(|model, _| model.sys_metrics(&name(n)));
    values.into_iter().map(|(name, value)| (name, f64::from(u32::try_from(value).unwrap()))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_all_nodes_come_through_one_member() {
    let trio = Trio::start(150, fast()).await;
    let exporter = Scraped::start(through(&trio, 2)).await;
    counts(&exporter, [0.0; 3]).await;
    for (n, version, count) in [(1, 4, 30), (1, 5, 12), (2, 5, 20), (3, 4, 7)] {
        publish(&trio, n, version, count).await;
    }
    counts(&exporter, [42.0, 20.0, 7.0]).await;

    // What a node sends lies between what it counts an interval before and an interval after.
    let before = [1, 2, 3].map(|n| model(&trio, n));
    sleep(INTERVAL + Duration::from_millis(500)).await;
    let page = exporter.page().await;
    let after = [1, 2, 3].map(|n| model(&trio, n));
    let mut unmoved = 0;
    for (n, (before, after)) in (1..).zip(before.iter().zip(&after)) {
        // 150, a histogram more where a session has ended, and one fewer where none was: they appear with their first
        // use (`sys_2.2.0.txt`).
        assert!([141, 150, 159].contains(&before.len()), "{}", before.len());
        for (metric, first) in before {
            let (first, last) = (first.min(after[metric]), first.max(after[metric]));
            let node = name(n).0;
            let (metric, bound) = sys_name(metric);
            let labels = [("node", node.as_str()), ("le", bound.unwrap_or_default())];
            let shown = page.value(metric, &labels[..=usize::from(bound.is_some())]);
            let shown = shown.unwrap_or_else(|| panic!("{node} has no {metric} {bound:?}"));
            assert!((first..=last).contains(&shown), "{node} {metric}: {first}, {shown}, {last}");
            unmoved += usize::from(first.to_bits() == last.to_bits());
        }
        let own = page
            .series
            .iter()
            .filter(|series| series.labels.get("node") == Some(&node_label(n)) && !is_ours(&series.name));
        assert_eq!(own.count(), before.len(), "these and no other");
    }
    assert!(unmoved > 300, "only {unmoved} of 450 numbers were compared exactly");
    assert_eq!([1, 2, 3].map(|n| up(&page, n)), [Some(1.0); 3]);
    assert_eq!((page.reason().as_str(), page.events("subscribed")), ("up", 1.0));
    for reason in ["payload_malformed", "topic_malformed", "node_name_odd", "retained"] {
        assert_eq!(page.bad(reason).to_bits(), 0, "{reason}");
    }
    exporter.stop().await;
}

fn node_label(n: u8) -> String {
    name(n).0
}

fn is_ours(name: &str) -> bool {
    name.starts_with("vernescale_") || name == "mqtt_publish_received_rate"
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_has_no_numbers_and_a_refusal_in_the_netsplit_leaves_none() {
    let trio = Trio::start(151, fast()).await;
    let exporter = Scraped::start(through(&trio, 1)).await;
    publish(&trio, 1, 4, 5).await;
    publish(&trio, 3, 4, 9).await;
    counts(&exporter, [5.0, 0.0, 9.0]).await;
    // Known while it is fresh, then unknown; never anything else.
    let gone_or = |page: &Page, n: u8, last: f64| {
        let now = published(page, n);
        assert!(now.is_none() || now == Some(last), "{now:?} of node {n}\n{}", page.body);
        assert_eq!(now.is_some(), up(page, n) == Some(1.0));
        now.is_none()
    };
    trio.kill(3).await;
    let page = exporter.until("node 3 unheard", |page| gone_or(page, 3, 9.0)).await;
    let of_3 = page.series.iter().filter(|series| series.labels.get("node") == Some(&node_label(3)));
    assert!(of_3.clone().all(|series| series.name.starts_with("vernescale_")), "{}", page.body);
    assert_eq!(up(&page, 3), Some(0.0));
    // The exporter was there before the netsplit: it goes on hearing the others
    // (docs/broker/status-and-metrics.md, "The $SYS tree").
    assert_eq!([published(&page, 1), published(&page, 2)], [Some(5.0), Some(0.0)]);
    assert_eq!(page.reason(), "up");

    // A newcomer is refused, and so is the exporter once its connection is lost.
    assert!(trio.fleet.cut(CLIENT));
    let refused = |page: &Page| page.events("server_unavailable") >= 3.0;
    let page = exporter
        .until("refusals", |page| {
            gone_or(page, 1, 5.0);
            refused(page)
        })
        .await;
    assert_eq!(page.reason(), "server_unavailable");
    let page = exporter.until("nobody heard", |page| gone_or(page, 1, 5.0) && gone_or(page, 2, 0.0)).await;
    assert_eq!([1, 2, 3].map(|n| up(&page, n)), [Some(0.0); 3]);
    assert_eq!(page.reason(), "server_unavailable");

    // Whole again: the counts of the living, and of node 3 what it has counted since.
    trio.boot(3).await;
    trio.whole(1..=3).await;
    let page = counts(&exporter, [5.0, 0.0, 0.0]).await;
    assert_eq!((page.reason().as_str(), up(&page, 3)), ("up", Some(1.0)));
    exporter.stop().await;
}

/// The node is back before it is missed: only its counter tells.
#[tokio::test(start_paused = true)]
async fn a_restart_resets_the_counter_and_is_no_load() {
    let slow = Settings { systree_interval: Duration::from_secs(10), ..no_key() };
    let trio = Trio::start(152, slow).await;
    let exporter = Scraped::start(through(&trio, 1)).await;
    publish(&trio, 3, 4, 600).await;
    counts(&exporter, [0.0, 0.0, 600.0]).await;
    let rates = |page: &Page| {
        ["1m", "5m"].map(|window| {
            let labels = [("node", name(3).0), ("window", window.to_owned())];
            let labels = labels.each_ref().map(|(key, value)| (*key, value.as_str()));
            page.value("mqtt_publish_received_rate", &labels)
        })
    };
    // Out of every window.
    sleep(Duration::from_mins(6)).await;
    assert_eq!(rates(&exporter.page().await), [Some(0.0); 2]);
    trio.kill(3).await;
    trio.boot(3).await;
    trio.whole(1..=3).await;
    publish(&trio, 3, 4, 6).await;
    let at_most = |page: &Page| {
        assert_eq!(up(page, 3), Some(1.0), "it was never missed");
        for (rate, window) in rates(page).into_iter().zip([60.0, 300.0]) {
            let rate = rate.expect("a rate");
            assert!((0.0..=6.1 / window).contains(&rate), "{rate} over {window} s");
        }
        published(page, 3)
    };
    exporter.until("the new count", |page| at_most(page) == Some(6.0)).await;
    for _ in 0..40 {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(at_most(&exporter.page().await), Some(6.0));
    }
    assert_eq!(rates(&exporter.page().await), [Some(0.0); 2]);
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_refusals_of_the_fleet_are_told_apart() {
    let trio = Trio::start(153, fast()).await;
    let set = |change: fn(&mut Settings)| trio.fleet.with_model(|model, _| change(model.settings_mut()));
    set(|settings| settings.denied_prefixes = vec!["$SYS".to_owned()]);
    let exporter = Scraped::start(through(&trio, 2)).await;
    let page = exporter.reason("acl_refused").await;
    assert_eq!(published(&page, 1), None);
    set(|settings| settings.denied_prefixes.clear());
    exporter.reason("up").await;
    exporter.stop().await;

    set(|settings| {
        settings.allow_anonymous = false;
        settings.users.insert("exporter".to_owned(), "right".to_owned());
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    for (password, reason) in
        [(None, "not_authorized"), (Some("wrong"), "bad_credentials"), (Some("right"), "up")]
    {
        let mut options = through(&trio, 2);
        if let Some(password) = password {
            std::fs::write(file.path(), password).unwrap();
            options = options.with_credentials(Some("exporter".to_owned()), Some(file.path())).unwrap();
        }
        let exporter = Scraped::start(options).await;
        exporter.reason(reason).await;
        exporter.stop().await;
    }

    // In a netsplit that lets clients in, SUBACK 0x80 is all that they are told
    // (docs/broker/netsplit.md, "With the settings on").
    set(|settings| {
        settings.allow_anonymous = true;
        settings.allow_register_during_netsplit = true;
    });
    trio.kill(3).await;
    let exporter = Scraped::start(through(&trio, 2)).await;
    exporter.reason("acl_refused").await;
    trio.boot(3).await;
    trio.whole(1..=3).await;
    exporter.reason("up").await;
    exporter.stop().await;
}
