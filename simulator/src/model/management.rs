//! Commands: who may ask, when the answer comes, what cuts it off.

use lifecycle::{NodeName, Time};

use super::agenda::Task;
use super::node::{Commands, Ix};
use super::session::Parting;
use super::{Answer, CallId, CloseReason, ClusterModel, Command, Event, Process, Via};

/// A command that is not answered yet.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) at: Option<Ix>,
    pub(super) via: Via,
    /// The answer is on its way.
    answered: bool,
}

/// Fixed text of an unregistered command (`join_too_early.txt`).
const TOO_EARLY: &str = "Error: Usage information not found for the given command";

impl ClusterModel {
    pub(super) fn ask(&mut self, name: &NodeName, command: Command, via: Via) -> CallId {
        let call = CallId(self.new_id());
        let at = self.find(name);
        self.calls.insert(call, Call { at, via, answered: false });
        let limit = match via {
            Via::Http => self.vary(self.settings.timing.http_cut),
            Via::Admin => self.vary(self.settings.timing.admin_rpc) + self.vary(self.settings.timing.admin),
        };
        let Some(ix) = at.filter(|ix| self.nodes[ix.0].running()) else {
            self.not_responding(name, call, via);
            return call;
        };
        self.after(limit, Task::Cut { call });
        match self.nodes[ix.0].commands {
            Commands::Ready => self.carry_out(ix, call, command, via),
            phase => {
                let code = if phase == Commands::Crashing { 500 } else { 400 };
                self.fail(call, code, TOO_EARLY, "");
            }
        }
        call
    }

    fn not_responding(&mut self, name: &NodeName, call: CallId, via: Via) {
        match via {
            Via::Http => {
                self.calls.remove(&call);
                self.events.push(Event::CallCut { call });
            }
            Via::Admin => {
                let stdout = format!("Node '{name}' not responding to pings.");
                self.answer(call, Answer::Failed { stdout, stderr: String::new() });
            }
        }
    }

    fn carry_out(&mut self, ix: Ix, call: CallId, command: Command, via: Via) {
        let answer = match command {
            Command::ClusterLeave { node, kill, summary_interval, timeout } => {
                self.leave(ix, call, via, node, kill, summary_interval, timeout);
                return;
            }
            Command::ClusterJoin { peer } => {
                self.join(ix, call, &peer);
                return;
            }
            Command::ListenerRestart { place } => {
                self.listener_restart(ix, call, &place);
                return;
            }
            // The address of a Unix socket is no JSON to it (`listeners_mountpoint_unix.txt`).
            Command::ListenerShow if via == Via::Http && self.has_unix_socket(ix) => {
                self.fail(call, 500, "", "");
                return;
            }
            Command::DisconnectClients { client_ids, mountpoint, cleanup } => {
                self.disconnect_clients(ix, call, client_ids, &mountpoint, cleanup);
                return;
            }
            Command::ApiKeyAdd { key, scope } => {
                self.api_key_add(ix, call, &key, scope.as_deref());
                return;
            }
            Command::ApiKeyCreate { scope } => {
                self.api_key_create(ix, call, scope.as_deref());
                return;
            }
            Command::NodeStop => {
                self.answer(call, done());
                self.stop_broker(ix, Parting::Closed(CloseReason::NodeStopped));
                return;
            }
            Command::Unknown => {
                self.fail(call, 400, TOO_EARLY, "");
                return;
            }
            Command::Help => {
                self.fail(call, 500, "", "");
                return;
            }
            command => self.simple(ix, command),
        };
        self.answer(call, answer);
    }

    /// Commands that are answered at once and cannot fail.
    fn simple(&mut self, ix: Ix, command: Command) -> Answer {
        match command {
            Command::ClusterShow => {
                let row = |(name, running): (NodeName, bool)| {
                    vec![("Node".into(), name.0.into()), ("Running".into(), running.into())]
                };
                Answer::Table(self.members_seen(ix).into_iter().map(row).collect())
            }
            Command::ListenerShow => self.listener_show(ix),
            Command::ListenerStart { place } => self.listener_start(ix, place),
            Command::SessionShow { flags, limit } => self.session_show(ix, &flags, limit),
            Command::SessionDisconnect { client_id, mountpoint, cleanup } => {
                self.session_disconnect(ix, client_id.as_deref(), &mountpoint, cleanup)
            }
            Command::DisconnectBatch { count, nodes, mountpoint, except, cleanup } => {
                self.disconnect_batch(ix, count.as_deref(), &nodes, &mountpoint, &except, cleanup)
            }
            Command::MetricsReset => {
                self.nodes[ix.0].counts = super::counts::Counts::default();
                done()
            }
            Command::MetricsShow => self.metrics_show(ix),
            Command::NodeStatus => self.node_status(ix),
            Command::NodeHistory => Answer::Text("existing_state".into()),
            Command::SwcSyncStatus => self.swc_sync_status(ix),
            Command::PluginShow => plugins(),
            Command::ApiKeyShow => self.api_key_show(ix),
            Command::ShowConfig { names } => self.show_config(ix, &names),
            _ => done(),
        }
    }

    fn show_config(&self, ix: Ix, names: &[String]) -> Answer {
        let onoff = |on: bool| if on { "on" } else { "off" }.to_owned();
        let s = &self.settings;
        let mut row = vec![("node".to_owned(), self.nodes[ix.0].name.0.clone().into())];
        for name in names {
            let value = match name.as_str() {
                "systree_interval" => s.systree_interval.as_millis().to_string(),
                "systree_enabled" => onoff(!s.systree_interval.is_zero()),
                "allow_register_during_netsplit" => onoff(s.allow_register_during_netsplit),
                "allow_publish_during_netsplit" => onoff(s.allow_publish_during_netsplit),
                "allow_subscribe_during_netsplit" => onoff(s.allow_subscribe_during_netsplit),
                "allow_unsubscribe_during_netsplit" => onoff(s.allow_unsubscribe_during_netsplit),
                "allow_anonymous" => onoff(s.allow_anonymous),
                _ => continue,
            };
            row.push((name.clone(), value.into()));
        }
        Answer::Table(vec![row])
    }

    /// Answers: at once over HTTP, after its start-up by `vmq-admin`.
    pub(super) fn answer(&mut self, call: CallId, answer: Answer) {
        self.answer_after(call, 0, answer);
    }

    /// Answers after `ms` of work.
    pub(super) fn answer_after(&mut self, call: CallId, ms: u64, answer: Answer) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.answered = true;
        let extra = match open.via {
            Via::Http => 0,
            Via::Admin => self.vary(self.settings.timing.admin),
        };
        if ms + extra == 0 {
            self.answer_now(call, answer);
        } else {
            self.after(ms + extra, Task::Answer { call, answer });
        }
    }

    /// Fails with a status over HTTP, with texts and exit 1 by `vmq-admin`.
    pub(super) fn fail(&mut self, call: CallId, status: u16, stdout: &str, stderr: &str) {
        let Some(open) = self.calls.get(&call) else { return };
        let answer = match open.via {
            Via::Http => Answer::HttpStatus(status),
            Via::Admin => Answer::Failed { stdout: stdout.into(), stderr: stderr.into() },
        };
        self.answer(call, answer);
    }

    pub(super) fn answer_now(&mut self, call: CallId, answer: Answer) {
        if self.calls.remove(&call).is_some() {
            self.events.push(Event::Answer { call, answer });
        }
    }

    /// The limit of a call has come. A leave that waits dies with an HTTP
    /// request and outlives the RPC of `vmq-admin` (docs/broker/leave.md, "While a member is down").
    pub(super) fn cut(&mut self, call: CallId) {
        let Some(open) = self.calls.get(&call).filter(|open| !open.answered) else { return };
        if let (Via::Admin, Some(at)) = (open.via, open.at) {
            let stderr = format!("RPC to '{}' failed: timeout", self.nodes[at.0].name);
            self.answer_now(call, Answer::Failed { stdout: String::new(), stderr });
        } else {
            self.calls.remove(&call);
            self.revoke(call);
            self.events.push(Event::CallCut { call });
        }
    }

    pub(super) fn client_hangs_up(&mut self, call: CallId) {
        if let Some(gone) = self.calls.remove(&call)
            && gone.via == Via::Http
        {
            self.revoke(call);
        }
    }

    /// Calls to a node that stops (`graceful`: a 500, `q2_hanging_leave_http.txt` E) or dies.
    pub(super) fn fail_calls(&mut self, ix: Ix, graceful: bool) {
        let open: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, call)| call.at == Some(ix) && !call.answered)
            .map(|(id, _)| *id)
            .collect();
        for call in open {
            let Some(gone) = self.calls.remove(&call) else { continue };
            self.revoke(call);
            let event = match gone.via {
                Via::Http if graceful => Event::Answer { call, answer: Answer::HttpStatus(500) },
                Via::Http => Event::CallCut { call },
                Via::Admin => {
                    let stderr = format!("RPC to '{}' failed: nodedown", self.nodes[ix.0].name);
                    Event::Answer { call, answer: Answer::Failed { stdout: String::new(), stderr } }
                }
            };
            self.events.push(event);
        }
    }

    pub(super) fn process_of(&self, name: &NodeName) -> Process {
        self.find(name).map_or(Process::Absent, |ix| self.nodes[ix.0].process)
    }

    /// Later by `ms`.
    pub(super) fn later(&self, ms: u64) -> Time {
        Time(self.now.0.saturating_add(ms))
    }
}

/// `Done`.
pub(super) fn done() -> Answer {
    Answer::Text("Done".into())
}

/// `plugin show` of the recorded configuration (`http_api.txt`).
fn plugins() -> Answer {
    let row = |plugin: &str, hooks: &str, functions: &str| {
        vec![
            ("Plugin".to_owned(), plugin.into()),
            ("Type".to_owned(), "application".into()),
            ("Hook(s)".to_owned(), hooks.into()),
            ("M:F/A".to_owned(), functions.into()),
        ]
    };
    Answer::Table(vec![
        row(
            "vmq_acl",
            "auth_on_publish\nauth_on_subscribe\nauth_on_publish_m5\nauth_on_subscribe_m5\n",
            "vmq_acl:auth_on_publish/6\nvmq_acl:auth_on_subscribe/3\nvmq_acl:auth_on_publish_m5/7\nvmq_acl:auth_on_subscribe_m5/4\n",
        ),
        row(
            "vmq_passwd",
            "auth_on_register\nauth_on_register_m5\n",
            "vmq_passwd:auth_on_register/5\nvmq_passwd:auth_on_register_m5/6\n",
        ),
    ])
}
