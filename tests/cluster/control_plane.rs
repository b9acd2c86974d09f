//! etcd, kube-apiserver and kube-controller-manager on loopback, in a folder
//! of their own, ended with the value that holds them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// The tokens of this control plane, good for nothing else.
pub(crate) const ADMIN_TOKEN: &str = "test-admin";
/// Of users who have no rights but those that a test gives them.
pub(crate) const NOBODY_TOKENS: [&str; 2] = ["test-nobody-1", "test-nobody-2"];
/// The namespaces in which there may be a controller.
const NAMESPACES: [&str; 3] = ["mqtt", "mqtt-exec", "mqtt-https"];
/// One control plane at a time is what two cores can carry.
pub(crate) static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// How long a part may take to answer; 3.4 s were measured for the API server alone.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// The token of the chart's `ServiceAccount`, installed as `vernescale` in a namespace.
pub(crate) fn controller_token(namespace: &str) -> String {
    format!("test-controller-{namespace}")
}

/// A running control plane.
pub(crate) struct ControlPlane {
    dir: tempfile::TempDir,
    bin: PathBuf,
    etcd_port: u16,
    port: u16,
    etcd: Child,
    apiserver: Mutex<Child>,
    manager: Child,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl ControlPlane {
    /// Starts everything and waits until the API server is ready; none where its programs cannot be had.
    pub(crate) async fn start() -> Option<Arc<Self>> {
        let alone = ONE_AT_A_TIME.lock().await;
        let bin = programs()?;
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a folder for the control plane");
        let [etcd_port, peer_port, port] = free_ports();
        let key = dir.path().join("sa.key");
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"));
        std::fs::write(dir.path().join("tokens.csv"), tokens()).expect("a file in our own folder");
        let etcd = spawn(
            Command::new(bin.join("etcd"))
                .arg("--data-dir")
                .arg(dir.path().join("etcd"))
                .arg(format!("--listen-client-urls=http://127.0.0.1:{etcd_port}"))
                .arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd_port}"))
                .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"))
                .arg("--unsafe-no-fsync"),
            &dir.path().join("etcd.log"),
        );
        let apiserver = Mutex::new(spawn_apiserver(&bin, dir.path(), etcd_port, port));
        let kubeconfig = write_kubeconfig(dir.path(), port, ADMIN_TOKEN);
        let manager = spawn(
            Command::new(bin.join("controlplane"))
                .arg("kube-controller-manager")
                .arg("--kubeconfig").arg(&kubeconfig)
                .args(["--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0"])
                .arg("--controllers=statefulset-controller,endpointslice-controller,namespace-controller,garbage-collector-controller,persistentvolumeclaim-protection-controller"),
            &dir.path().join("manager.log"),
        );
        let plane = Self { dir, bin, etcd_port, port, etcd, apiserver, manager, _alone: alone };
        plane.wait_until_ready().await;
        Some(Arc::new(plane))
    }

    /// A client with all rights.
    pub(crate) async fn admin(&self) -> Client {
        self.client(ADMIN_TOKEN).await
    }

    /// A client with the rights of whoever this token says, and without retries of its own.
    pub(crate) async fn client(&self, token: &str) -> Client {
        let options = KubeConfigOptions::default();
        let kubeconfig = kubeconfig_for(self.port, token);
        let mut config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("our own kubeconfig");
        config.default_retry = false;
        Client::try_from(config).expect("a client")
    }

    /// A file for programs that are to be whoever this token says.
    pub(crate) fn kubeconfig(&self, token: &str) -> PathBuf {
        write_kubeconfig(self.dir.path(), self.port, token)
    }

    /// What `kubectl` prints, with all rights.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(self.bin.join("controlplane"));
        command.arg("kubectl").args(arguments).env("KUBECONFIG", self.kubeconfig(ADMIN_TOKEN));
        // It keeps what it has discovered under the home.
        let output =
            command.env("HOME", self.dir.path()).output().await.expect("kubectl is one of the parts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The chart's Role and binding in a namespace, as helm renders them with these values.
    pub(crate) fn rights(&self, namespace: &str, values: &[&str]) -> String {
        let mut helm = Command::new(self.bin.join("helm"));
        helm.args(["template", "vernescale", "charts/vernescale", "--namespace", namespace]);
        helm.args(["--show-only", "templates/rbac.yaml", "--kube-version", "1.35.4"]);
        helm.args(values.iter().flat_map(|value| ["--set", value]));
        run(&mut helm)
    }

    /// Starts another part of the multi-call binary; whoever has it ends it.
    pub(crate) fn part(&self, name: &str, arguments: &[String]) -> Child {
        let mut command = Command::new(self.bin.join("controlplane"));
        spawn(command.arg(name).args(arguments), &self.dir.path().join(format!("{name}.log")))
    }

    /// Ends the API server and starts it again on the same store and port.
    pub(crate) async fn restart_apiserver(&self) {
        {
            let mut apiserver = self.apiserver.lock().unwrap_or_else(PoisonError::into_inner);
            end(&mut apiserver);
            *apiserver = spawn_apiserver(&self.bin, self.dir.path(), self.etcd_port, self.port);
        }
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&self) {
        let client = self.admin().await;
        let ready = async {
            loop {
                let request = http::Request::get("/readyz").body(Vec::new()).expect("a request");
                if client.request_text(request).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(START_DEADLINE, ready).await.is_err() {
            let log = std::fs::read_to_string(self.dir.path().join("apiserver.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            panic!(
                "the API server was not ready within {START_DEADLINE:?}; its last lines, newest first:\n{}",
                tail.join("\n")
            );
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let apiserver = self.apiserver.get_mut().unwrap_or_else(PoisonError::into_inner);
        for part in [&mut self.manager, apiserver, &mut self.etcd] {
            end(part);
        }
    }
}

/// Where the programs are; none where they cannot be had.
#[expect(clippy::print_stdout, reason = "a skip says why")]
fn programs() -> Option<PathBuf> {
    let output = Command::new("tests/cluster/build.sh").output();
    match output {
        Ok(output) if output.status.success() => {
            Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        }
        failed => {
            let why = failed.map_or_else(
                |error| error.to_string(),
                |output| String::from_utf8_lossy(&output.stderr).into_owned(),
            );
            assert!(std::env::var_os("CI").is_none(), "no control plane: {why}");
            println!("skipped: no control plane: {why}");
            None
        }
    }
}

/// Who is who: token, user, uid, groups.
fn tokens() -> String {
    let controllers = NAMESPACES.map(|namespace| {
        let user = format!("system:serviceaccount:{namespace}:vernescale-controller");
        format!("{},{user},{user}", controller_token(namespace))
    });
    let nobodies = NOBODY_TOKENS.map(|token| format!("{token},{token},{token}"));
    let admin = format!("{ADMIN_TOKEN},admin,admin,system:masters");
    format!("{admin}\n{}\n{}\n", controllers.join("\n"), nobodies.join("\n"))
}

fn spawn_apiserver(bin: &Path, dir: &Path, etcd_port: u16, port: u16) -> Child {
    let key = dir.join("sa.key");
    spawn(
        Command::new(bin.join("controlplane"))
            .arg("kube-apiserver")
            .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
            .arg(format!("--secure-port={port}"))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg("--endpoint-reconciler-type=none")
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--service-account-signing-key-file={}", key.display()))
            .arg(format!("--token-auth-file={}", dir.join("tokens.csv").display()))
            .arg(format!("--cert-dir={}", dir.join("certs").display()))
            .arg("--authorization-mode=RBAC")
            // No controller makes the default account here, and no pod of ours uses one.
            .arg("--disable-admission-plugins=ServiceAccount"),
        &dir.join("apiserver.log"),
    )
}

fn write_kubeconfig(dir: &Path, port: u16, token: &str) -> PathBuf {
    let file = dir.join(format!("{token}.kubeconfig"));
    let text = serde_json::to_string(&kubeconfig_for(port, token)).expect("JSON");
    std::fs::write(&file, text).expect("a file in our own folder");
    file
}

fn kubeconfig_for(port: u16, token: &str) -> Kubeconfig {
    // The certificate is made by the API server at its start; it never leaves loopback.
    serde_json::from_value(serde_json::json!({
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "default" } }],
    }))
    .expect("a kubeconfig of our own")
}

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are known, so that no two are the same.
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("a bound port").port())
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
    let errors = log.try_clone().expect("a second handle");
    let command = command.stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends a process that we have started.
pub(crate) fn end(child: &mut Child) {
    // Only our own children, by id. Errors mean that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}
