//! The brokers' HTTP listener answers what no broker answers, or nothing at all.
//! Leaves through exec do not need the management API, but the status page: there
//! it is `metricsPort` that leads somewhere else.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use rstest::rstest;
use serde_json::{Value, json};
use simulator::model::ManagementAuth;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use vernescale::api::Via;

use crate::bad_input::{stands, two_and_one_too_many, works_again};
use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};
use crate::front::PLAIN;

/// Where something else listens.
pub(crate) const ELSEWHERE: u16 = 9_999;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Unauthorized,
    NotUnderstood,
    Crashed,
    Html,
    NotServed,
    Empty,
    Text,
    Silence,
    Refusal,
}

impl Answer {
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Unauthorized => ("ManagementUnauthorized", "spec.management.secretRef is not set"),
            Self::NotUnderstood => ("ManagementNotUnderstood", "see the pod's log"),
            Self::Crashed => ("ManagementCrashed", "See the pod's log"),
            Self::Html => ("ManagementHtml", "correct the port, or take away the proxy"),
            Self::NotServed => ("ManagementNotServed", "http_modules"),
            Self::Empty => ("ManagementEmpty", "see the pod's log and what stands between"),
            Self::Text => ("ManagementMalformed", "is where VerneMQ serves"),
            Self::Silence => ("ManagementSilent", "NetworkPolicy"),
            Self::Refusal => ("ManagementRefused", "correct the ports"),
        }
    }

    /// Status, content type and body; none for silence.
    fn http(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::Unauthorized => Some(("401 Unauthorized", "text/plain", "invalid_api_key")),
            Self::NotUnderstood => Some(("400 Bad Request", "text/plain", "")),
            Self::Crashed => Some(("500 Internal Server Error", "text/plain", "")),
            Self::Html => Some(("200 OK", "text/html", "<html><body>Log in</body></html>")),
            Self::NotServed => Some(("404 Not Found", "text/plain", "")),
            Self::Empty => Some(("200 OK", "application/json", "")),
            Self::Text => Some(("200 OK", "application/json", "pong")),
            Self::Silence | Self::Refusal => None,
        }
    }
}

/// What is answered now; none where the node itself is asked.
pub(crate) type Now = Arc<Mutex<Option<Answer>>>;

/// The port that leads to [`ELSEWHERE`], for leaves by `via`.
pub(crate) fn ports(via: Via, port: u16) -> Value {
    match via {
        Via::ManagementApi => json!({ "management": { "port": port } }),
        Via::Exec => json!({ "management": { "metricsPort": port } }),
    }
}

/// Answers everybody who asks the pods at [`ELSEWHERE`]. Ends with the set.
pub(crate) async fn answer_everywhere(cluster: &Cluster, now: &Now) -> JoinSet<()> {
    answer_at(cluster, now, |_| true).await
}

/// The same at some ordinals; at the others the node itself is asked.
pub(crate) async fn answer_at(cluster: &Cluster, now: &Now, at: impl Fn(u32) -> bool) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for pod in cluster.kubernetes.objects("pods", NAMESPACE) {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).expect("it has a name");
        let ordinal = name.rsplit('-').next().and_then(|end| end.parse().ok()).expect("an ordinal");
        let now = if at(ordinal) { Arc::clone(now) } else { Now::default() };
        let address = pod.pointer("/status/podIP").and_then(Value::as_str).expect("it has an address");
        let address: IpAddr = address.parse().expect("an address");
        let listener = TcpListener::bind((address, ELSEWHERE)).await.expect("the port is free");
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = *now.lock().expect("not poisoned");
                open.spawn(async move {
                    let Some(answer) = answer else {
                        let Ok(mut node) = TcpStream::connect((address, PLAIN)).await else { return };
                        let _ = copy_bidirectional(&mut stream, &mut node).await;
                        return;
                    };
                    let mut request = [0; 2_048];
                    let _ = stream.read(&mut request).await;
                    let Some((status, kind, body)) = answer.http() else { return std::future::pending().await };
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(body.as_bytes()).await;
                });
            }
        });
    }
    tasks
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn something_else_answers(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(
        Answer::Unauthorized,
        Answer::NotUnderstood,
        Answer::Crashed,
        Answer::Html,
        Answer::NotServed,
        Answer::Empty,
        Answer::Text,
        Answer::Silence,
        Answer::Refusal
    )]
    answer: Answer,
) {
    let mut cluster = two_and_one_too_many(via).spec(&ports(via, ELSEWHERE)).start().await;
    let now = Arc::new(Mutex::new(Some(answer)));
    let _talking = match answer {
        Answer::Refusal => JoinSet::new(),
        _ => answer_everywhere(&cluster, &now).await,
    };
    cluster.load(1.0).await;
    cluster.start_controller("a");
    let (condition, remedy) = answer.told();
    stands(&mut cluster, condition, remedy).await;
    assert_eq!(cluster.status().protection_level, Some(0), "nobody can be asked");
    cluster.wish(2);
    cluster.edit_spec(&ports(via, PLAIN));
    cluster.until("nothing is told", seconds(20), |cluster| cluster.condition(condition).is_none()).await;
    works_again(&mut cluster).await;
}

/// The broker's default: every node wants a key of its own. A key that is missing in the Secret is
/// told apart from one that a node does not know. Leaves through exec need none.
#[tokio::test(start_paused = true)]
async fn keys_that_nobody_has_made() {
    let keys = json!({ "management": { "secretRef": { "name": "vernemq-key", "key": "key" } } });
    let builder = two_and_one_too_many(Via::ManagementApi).spec(&keys);
    let builder = builder.broker(|broker| broker.management_auth = ManagementAuth::Keys);
    let mut cluster = builder.start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "ManagementKeyMissing", "create it, or correct spec.management.secretRef").await;
    assert_eq!(cluster.status().protection_level, Some(0), "nobody can be asked");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vernemq-key", "namespace": NAMESPACE },
        "data": { "key": "YS1rZXktb2YtdGhpcy1jbHVzdGVyLWZvci10ZXN0cw==" },
    });
    cluster.kubernetes.apply(&secret).expect("the Secret is made");
    // It is read twice a minute.
    let missing = |cluster: &Cluster| cluster.condition("ManagementKeyMissing").is_none();
    cluster.until("the Secret is found", seconds(40), missing).await;
    stands(&mut cluster, "ManagementUnauthorized", "keys do not spread between nodes").await;
    cluster.wish(2);
    for ordinal in 0..2 {
        let node = cluster.node(ordinal).expect("it runs");
        let words = ["api-key", "add", "key=a-key-of-this-cluster-for-tests", "scope=mgmt"];
        let output = cluster.fleet.admin(&node, &words.map(str::to_owned)).await;
        assert_eq!(output.code, 0, "{output:?}");
    }
    let known = |cluster: &Cluster| cluster.condition("ManagementUnauthorized").is_none();
    cluster.until("the key is known", seconds(20), known).await;
    cluster.until("all is there", seconds(5), |cluster| cluster.status().protection_level == Some(2)).await;
    cluster.wish(1);
    cluster.until("one serves", minutes(4), |cluster| cluster.settled(1)).await;
    cluster.assert_invariants().await;
}
