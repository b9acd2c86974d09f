//! `cluster leave`: what it refuses, what it waits for, when it can be revoked.

use lifecycle::NodeName;

use super::agenda::Task;
use super::management::done;
use super::migration::Migration;
use super::node::Ix;
use super::session::Parting;
use super::{Answer, CallId, ClusterModel, Process, Via};

/// Answer of a leave without `-k` (`leave_full_semantics.txt`).
const SUSPENDED: &str = "Done! Use -k to teardown and migrate existing sessions!";
/// Answer of a leave without a node (`http_api.txt`).
const NO_NODE: &str = "You have to provide a node";
/// The target's process of the leave is not there: stopping, or of another build.
const NOPROC: &str = "Unknown error: noproc";

/// A leave with `-k` that waits for all members to be up.
#[derive(Debug)]
pub(super) struct Leave {
    target: Ix,
    issuer: Ix,
    issuer_life: u64,
    call: CallId,
    timeout: u32,
}

impl ClusterModel {
    #[expect(clippy::too_many_arguments, reason = "these are the flags of the command")]
    pub(super) fn leave(
        &mut self,
        ix: Ix,
        call: CallId,
        via: Via,
        node: Option<NodeName>,
        kill: bool,
        summary_interval: u32,
        timeout: u32,
    ) {
        if summary_interval == 0 {
            let stderr = format!(
                "RPC to '{}' failed: {{'EXIT',\n {{badarith,\n  [{{erlang,'div',\n    [5000,\n     {{{{error,\n       \
                 {{invalid_flag_value,\n        {{'summary-interval',\"0\"}}}}}}}}]}}]}}}}",
                self.nodes[ix.0].name
            );
            self.fail(call, 500, "", &stderr);
            return;
        }
        let Some(name) = node else {
            self.answer(call, Answer::Alert(NO_NODE.into()));
            return;
        };
        let Some(target) = self.find(&name) else {
            self.answer(call, done());
            return;
        };
        match self.nodes[target.0].process {
            Process::Absent | Process::Exited { .. } => self.leave_of_dead(ix, call, via, target),
            Process::Booting | Process::Stopping => self.answer(call, Answer::Text(NOPROC.into())),
            Process::Running if self.nodes[target.0].leaving => {
                self.answer(call, Answer::Text(NOPROC.into()));
            }
            Process::Running if !kill => {
                self.suspend_listeners(target);
                self.answer(call, Answer::Text(SUSPENDED.into()));
            }
            Process::Running => {
                let id = self.new_id();
                let issuer_life = self.nodes[ix.0].life;
                self.leaves.insert(id, Leave { target, issuer: ix, issuer_life, call, timeout });
                self.leave_looks(id);
            }
        }
    }

    /// A leave begins only while all members are up; else it looks again, for
    /// ever (docs/broker/leave.md, "While a member is down").
    pub(super) fn leave_looks(&mut self, id: u64) {
        let Some(leave) = self.leaves.get(&id) else { return };
        let (issuer, target, call) = (leave.issuer, leave.target, leave.call);
        if !self.lives(issuer, leave.issuer_life) {
            self.leaves.remove(&id);
            return;
        }
        if !self.nodes[issuer.0].whole() {
            let wait = self.vary(self.settings.timing.leave_poll);
            self.after(wait.max(1), Task::LeaveLook { leave: id });
            return;
        }
        let timeout = u64::from(leave.timeout).saturating_mul(1_000);
        self.leaves.remove(&id);
        let leaver = &self.nodes[target.0];
        let foreign = self.nodes[issuer.0].host.build != leaver.host.build;
        if foreign || leaver.leaving || !leaver.running() {
            self.answer(call, Answer::Text(NOPROC.into()));
            return;
        }
        if let Some(migration) = &mut self.nodes[target.0].migration {
            // The one that runs answers both: no working exclusion (docs/broker/leave.md, "Two leaves").
            migration.callers.push(call);
            return;
        }
        self.begin_leave(target, call, timeout);
    }

    /// From here on only the end of the target's process stops it.
    fn begin_leave(&mut self, target: Ix, call: CallId, timeout: u64) {
        let blip = self.vary(self.settings.timing.health_blip);
        let until = self.later(timeout);
        let began = self.now;
        let blip_until = self.later(blip);
        if self.close_listeners(target) {
            self.nodes[target.0].blip_until = blip_until;
        }
        self.drop_clients(target, Parting::Dropped);
        self.nodes[target.0].migration = Some(Migration::new(call, began, until));
        self.leave_waits_offline(target);
    }

    /// Ends a call's hold on whatever has not begun yet.
    pub(super) fn revoke(&mut self, call: CallId) {
        self.leaves.retain(|_, leave| leave.call != call);
        self.repairs.retain(|_, repair| repair.call != call);
    }

    /// A node's process has ended: leaves on it are off.
    pub(super) fn leaves_lose(&mut self, ix: Ix) {
        if let Some(migration) = self.nodes[ix.0].migration.take() {
            for call in migration.callers {
                if migration.broken {
                    self.fail(call, 500, "", "");
                } else {
                    self.answer(call, Answer::Text("Unknown error: noconnection".into()));
                }
            }
        }
        self.leaves.retain(|_, leave| leave.issuer != ix);
        self.repairs.retain(|_, repair| repair.issuer != ix);
    }
}
