//! The control plane that the tests work on: one of our own, or a cluster that was given.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tempfile::TempDir;

use crate::apply::{self, apply};
use crate::given::{self, Given};
use crate::own::Own;
use crate::programs::{build, run, skip, spawn};

/// The account that the chart gives the controller, installed as `vernescale`.
pub(crate) const CONTROLLER: &str = "vernescale-controller";
/// The namespaces in which the tests work.
pub(crate) const NAMESPACES: [&str; 3] = ["mqtt", "mqtt-exec", "mqtt-https"];
/// One control plane at a time is what two cores can carry.
pub(crate) static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// How long a part may take to answer; 3.4 s were measured for the API server alone.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// A running control plane; what it was given is as it was when this ends.
pub(crate) struct ControlPlane {
    plane: Plane,
    admin: Kubeconfig,
    /// The programs; a cluster that was given does without.
    bin: Option<PathBuf>,
    dir: TempDir,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

enum Plane {
    Own(Own),
    Given(#[expect(dead_code, reason = "cleans up when it is dropped")] Given),
}

impl ControlPlane {
    /// Starts one, or takes what was given, and waits until it is ready; none where there is neither.
    pub(crate) async fn start() -> Option<Arc<Self>> {
        let alone = ONE_AT_A_TIME.lock().await;
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a folder for the control plane");
        let bin = build();
        let (plane, admin) = if let Some(file) = given::kubeconfig() {
            let (given, admin) = Given::take(&file).await;
            (Plane::Given(given), admin)
        } else {
            let bin = bin.as_ref().inspect_err(|why| skip("no control plane", why)).ok()?;
            let (own, admin) = Own::start(bin, dir.path());
            (Plane::Own(own), admin)
        };
        let plane = Self { plane, admin, bin: bin.ok(), dir, _alone: alone };
        plane.wait_until_ready().await;
        Some(Arc::new(plane))
    }

    /// A client with all rights.
    pub(crate) async fn admin(&self) -> Client {
        client(self.admin.clone()).await
    }

    /// A client with the rights of whoever has this token, and without retries of its own.
    pub(crate) async fn client(&self, token: &str) -> Client {
        client(with_token(&self.admin, token)).await
    }

    /// A file for programs that are to be whoever has this token.
    pub(crate) fn kubeconfig(&self, token: &str) -> PathBuf {
        self.write("token.kubeconfig", &with_token(&self.admin, token))
    }

    /// A file for programs that may do everything.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.write("admin.kubeconfig", &self.admin)
    }

    fn write(&self, name: &str, kubeconfig: &Kubeconfig) -> PathBuf {
        let file = self.dir.path().join(name);
        let text = serde_json::to_string(kubeconfig).expect("JSON");
        std::fs::write(&file, text).expect("a file in our own folder");
        file
    }

    /// The token of an account, which has no rights but those that a test gives it.
    pub(crate) async fn token(&self, namespace: &str, account: &str) -> String {
        let admin = self.admin().await;
        let meta = json!({ "name": account, "namespace": namespace });
        apply::namespace(&admin, namespace).await;
        apply(&admin, &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta })).await;
        let accounts: Api<ServiceAccount> = Api::namespaced(admin, namespace);
        let request = serde_json::from_value(json!({ "spec": { "audiences": [] } })).expect("a request");
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
        answer.ok().and_then(|answer| answer.status).expect("an account has tokens").token
    }

    /// What `kubectl` prints, with all rights.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(self.multi_call());
        command.arg("kubectl").args(arguments).env("KUBECONFIG", self.admin_kubeconfig());
        // It keeps what it has discovered under the home.
        let output =
            command.env("HOME", self.dir.path()).output().await.expect("kubectl is one of the parts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The chart's Role and binding in a namespace, as helm renders them with these values.
    pub(crate) fn rights(&self, namespace: &str, values: &[&str]) -> String {
        let mut helm = Command::new(self.bin.as_ref().map_or("helm".into(), |bin| bin.join("helm")));
        helm.args(["template", "vernescale", "charts/vernescale", "--namespace", namespace]);
        helm.args(["--show-only", "templates/rbac.yaml", "--kube-version", "1.35.4"]);
        helm.args(values.iter().flat_map(|value| ["--set", value]));
        run(&mut helm)
    }

    /// Whether there are parts to start.
    pub(crate) fn has_parts(&self) -> bool {
        self.bin.is_some()
    }

    /// Starts another part of the multi-call binary; whoever has it ends it.
    pub(crate) fn part(&self, name: &str, arguments: &[String]) -> Child {
        let mut command = Command::new(self.multi_call());
        spawn(command.arg(name).args(arguments), &self.dir.path().join(format!("{name}.log")))
    }

    fn multi_call(&self) -> PathBuf {
        self.bin.as_ref().expect("the programs are built").join("controlplane")
    }

    /// The address at which we are for the API server, as far as we can know it.
    pub(crate) async fn our_address(&self) -> IpAddr {
        let url = config(self.admin.clone()).await.cluster_url;
        let port = url.port_u16().unwrap_or(443);
        let host = url.host().expect("an API server has a host").trim_matches(['[', ']']).to_owned();
        let there = tokio::net::TcpStream::connect((host, port)).await;
        there
            .and_then(|stream| stream.local_addr())
            .as_ref()
            .map(SocketAddr::ip)
            .expect("it has just answered")
    }

    /// Ends the API server and starts it again on the same store and port.
    pub(crate) async fn restart_apiserver(&self) {
        let Plane::Own(own) = &self.plane else { panic!("a cluster that was given is not ours to restart") };
        own.restart_apiserver();
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&self) {
        let client = self.admin().await;
        let ready = async {
            loop {
                let request = http::Request::get("/readyz").body(Vec::new()).expect("a request");
                match client.request_text(request).await {
                    Ok(_) => return,
                    Err(error) => tracing::debug!(%error, "the API server is not ready"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(START_DEADLINE, ready).await.is_err() {
            let said = match &self.plane {
                Plane::Own(own) => own.last_words(),
                Plane::Given(_) => String::new(),
            };
            panic!("the API server was not ready within {START_DEADLINE:?}; {said}");
        }
    }
}

async fn config(kubeconfig: Kubeconfig) -> Config {
    let options = KubeConfigOptions::default();
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a kubeconfig that can be used");
    config.default_retry = false;
    config
}

/// A client without retries of its own.
pub(crate) async fn client(kubeconfig: Kubeconfig) -> Client {
    Client::try_from(config(kubeconfig).await).expect("a client")
}

/// The same cluster for somebody else.
fn with_token(kubeconfig: &Kubeconfig, token: &str) -> Kubeconfig {
    let mut kubeconfig = kubeconfig.clone();
    let user = json!({ "name": "of-a-test", "user": { "token": token } });
    kubeconfig.auth_infos = vec![serde_json::from_value(user).expect("a user")];
    for context in &mut kubeconfig.contexts {
        if let Some(context) = &mut context.context {
            context.user = Some("of-a-test".to_owned());
        }
    }
    kubeconfig
}
