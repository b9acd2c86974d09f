//! The exporter's own series, as people are told of them.

use std::time::Duration;

use tokio::time::sleep;

use crate::broker::Broker;
use crate::scrape::Scraped;
use crate::{anywhere, options};

/// The series of the table in `## Run the exporter`.
fn documented() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let (_, chapter) = readme.split_once("\n## Run the exporter\n").unwrap();
    let (_, table) = chapter.split_once("\n| series | meaning |\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `")?.split(['{', '`']).next());
    rows.collect()
}

#[tokio::test(start_paused = true)]
async fn every_series_of_its_own_is_in_the_readme() {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    // Rates want ten seconds.
    for count in 0..7 {
        broker.publish("$SYS/VerneMQ@a/mqtt/publish/received", count.to_string());
        sleep(Duration::from_secs(2)).await;
    }
    let body = exporter.page().await.body;
    let typed = |line: &'_ str| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned);
    let served: Vec<String> = body.lines().filter_map(typed).collect();
    let documented = documented();
    for name in &documented {
        let fits = |one: &String| name.strip_suffix('*').map_or(one == name, |stem| one.starts_with(stem));
        assert!(served.iter().any(fits), "{name} is in README and not in {body}");
    }
    for name in served.iter().filter(|name| *name != "mqtt_publish_received") {
        let fits = |one: &&str| one.strip_suffix('*').map_or(name == one, |stem| name.starts_with(stem));
        assert!(documented.iter().any(fits), "{name} is not in README");
    }
}
