//! Runs the exporter in the test's own process and reads its page as a scraper would.

use std::net::SocketAddr;
use std::time::Duration;

use autoscaler::metrics::exposition::{Series, parse};
use lifecycle::Time;
use net::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use vernescale::exporter::{Exporter, Settings};
use vernescale::mqtt::options::Options;

/// An exporter under test.
pub(crate) struct Scraped {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Scraped {
    pub(crate) async fn start(source: Options) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let settings = Settings { source, listen, timestamps: true };
        let exporter = Exporter::bind(settings, Clock::starting_at(Time(1_795_000_000_000))).await.unwrap();
        Self::run(exporter)
    }

    pub(crate) fn run(exporter: Exporter) -> Self {
        let address = exporter.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            exporter
                .run(async {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
        });
        Self { address, stop: Some(stop), task }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap();
    }

    pub(crate) async fn page(&self) -> Page {
        let (head, body) = get(self.address, "/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        let series = parse(&body).unwrap();
        Page { body, series }
    }

    /// Reads the page until it is as it should be; fails with the last one after two minutes.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        for _ in 0..600 {
            let page = self.page().await;
            if wanted(&page) {
                return page;
            }
            sleep(Duration::from_millis(200)).await;
        }
        panic!("never came: {what}\n{}", self.page().await.body);
    }

    /// Waits until the source is in this state.
    pub(crate) async fn reason(&self, reason: &str) -> Page {
        self.until(reason, |page| page.reason() == reason).await
    }
}

/// The page `/metrics`.
pub(crate) struct Page {
    pub(crate) body: String,
    pub(crate) series: Vec<Series>,
}

impl Page {
    /// Value of a series by name and some of its labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |series: &&Series| {
            series.name == name
                && labels.iter().all(|(key, value)| series.labels.get(*key).is_some_and(|one| one == value))
        };
        self.series.iter().find(fits).map(|series| series.value)
    }

    pub(crate) fn published(&self, node: &str) -> Option<f64> {
        self.value("mqtt_publish_received", &[("node", node)])
    }

    pub(crate) fn bad(&self, reason: &str) -> f64 {
        self.value("vernescale_bad_input_total", &[("reason", reason)]).unwrap()
    }

    pub(crate) fn events(&self, reason: &str) -> f64 {
        self.value("vernescale_source_events_total", &[("reason", reason)]).unwrap()
    }

    /// The one state that the source is in.
    pub(crate) fn reason(&self) -> String {
        let current: Vec<_> = self
            .series
            .iter()
            .filter(|series| series.name == "vernescale_source_up" && series.value > 0.5)
            .collect();
        assert_eq!(current.len(), 1, "one state at a time");
        current[0].labels["reason"].clone()
    }
}

/// One request on one connection.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
