//! etcd, kube-apiserver and kube-controller-manager on loopback, in a folder
//! of their own, ended with the value that holds them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use kube::config::Kubeconfig;
use serde_json::json;

use crate::programs::{end, free_ports, run, spawn};

/// Good for nothing but one control plane of a test.
const ADMIN_TOKEN: &str = "test-admin";

/// The processes.
pub(crate) struct Own {
    bin: PathBuf,
    dir: PathBuf,
    etcd_port: u16,
    port: u16,
    etcd: Child,
    apiserver: Mutex<Child>,
    manager: Child,
}

impl Own {
    /// Starts everything; who has all rights on it.
    pub(crate) fn start(bin: &Path, dir: &Path) -> (Self, Kubeconfig) {
        let [etcd_port, peer_port, port] = free_ports();
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(dir.join("sa.key")).arg("2048"));
        std::fs::write(dir.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,admin,system:masters\n"))
            .expect("a file in our own folder");
        let etcd = spawn(
            Command::new(bin.join("etcd"))
                .arg("--data-dir")
                .arg(dir.join("etcd"))
                .arg(format!("--listen-client-urls=http://127.0.0.1:{etcd_port}"))
                .arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd_port}"))
                .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"))
                .arg("--unsafe-no-fsync"),
            &dir.join("etcd.log"),
        );
        let apiserver = Mutex::new(spawn_apiserver(bin, dir, etcd_port, port));
        let admin = kubeconfig(port);
        let file = dir.join("manager.kubeconfig");
        std::fs::write(&file, serde_json::to_string(&admin).expect("JSON"))
            .expect("a file in our own folder");
        let manager = spawn(
            Command::new(bin.join("controlplane"))
                .arg("kube-controller-manager")
                .arg("--kubeconfig").arg(&file)
                .args(["--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0"])
                .arg("--controllers=statefulset-controller,endpointslice-controller,namespace-controller,garbage-collector-controller,persistentvolumeclaim-protection-controller,horizontal-pod-autoscaler-controller"),
            &dir.join("manager.log"),
        );
        let (bin, dir) = (bin.to_owned(), dir.to_owned());
        (Self { bin, dir, etcd_port, port, etcd, apiserver, manager }, admin)
    }

    /// Ends the API server and starts it again on the same store and port.
    pub(crate) fn restart_apiserver(&self) {
        let mut apiserver = self.apiserver.lock().unwrap_or_else(PoisonError::into_inner);
        end(&mut apiserver);
        *apiserver = spawn_apiserver(&self.bin, &self.dir, self.etcd_port, self.port);
    }

    /// The last that the API server has logged, newest first.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("apiserver.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        format!("its last lines, newest first:\n{}", tail.join("\n"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let apiserver = self.apiserver.get_mut().unwrap_or_else(PoisonError::into_inner);
        for part in [&mut self.manager, apiserver, &mut self.etcd] {
            end(part);
        }
    }
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

fn kubeconfig(port: u16) -> Kubeconfig {
    // The certificate is made by the API server at its start; it never leaves loopback.
    serde_json::from_value(json!({
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true } }],
        "users": [{ "name": "test", "user": { "token": ADMIN_TOKEN } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "default" } }],
    }))
    .expect("a kubeconfig of our own")
}
