//! What is going to happen, and when.

use lifecycle::{NodeName, Time};

use super::node::Ix;
use super::queue::ClientKey;
use super::{Answer, CallId, ClusterModel, ConnId, Spread};

/// Something that happens at its time. `life` voids what belongs to an
/// earlier process of the node.
#[derive(Clone, Debug)]
pub(super) enum Task {
    HttpUp { node: Ix, life: u64 },
    CommandsCrash { node: Ix, life: u64 },
    CommandsReady { node: Ix, life: u64 },
    HttpDown { node: Ix, life: u64 },
    Exit { node: Ix, life: u64, code: i32 },
    SeeUp { at: Ix, life: u64, member: Ix, member_life: u64 },
    SeeDown { at: Ix, life: u64, member: Ix, member_life: u64 },
    ViewAdd { at: Ix, life: u64, member: Ix },
    ViewRemove { at: Ix, life: u64, member: Ix },
    FindLostView { node: Ix, life: u64 },
    JoinLoop { node: Ix, life: u64, peer: NodeName },
    Enter { node: Ix, life: u64, peer: Ix, call: Option<CallId> },
    SysTick { node: Ix, life: u64 },
    Admit { node: Ix, life: u64, port: u16 },
    Connected { conn: ConnId },
    RefuseZombie { conn: ConnId },
    Pulled { conn: ConnId, key: ClientKey, from: Ix, to: Ix },
    DrainStateEnds { node: Ix, life: u64, key: ClientKey },
    LeftOverGoes { node: Ix, life: u64, key: ClientKey },
    LeaveLook { leave: u64 },
    LeaveOffline { node: Ix, life: u64 },
    Migrate { node: Ix, life: u64 },
    LeaveSplit { node: Ix, life: u64 },
    LeaveDone { node: Ix, life: u64 },
    RepairStep { repair: u64 },
    Answer { call: CallId, answer: Answer },
    Cut { call: CallId },
}

impl ClusterModel {
    /// Puts a task on the agenda, not before now.
    pub(super) fn at(&mut self, time: Time, task: Task) {
        self.sequence += 1;
        self.agenda.insert((time.max(self.now), self.sequence), task);
    }

    /// Puts a task on the agenda, `ms` from now.
    pub(super) fn after(&mut self, ms: u64, task: Task) {
        self.at(Time(self.now.0.saturating_add(ms)), task);
    }

    /// A number within a spread, derived from the seed and how often it was asked.
    pub(super) fn vary(&mut self, spread: Spread) -> u64 {
        self.varied = self.varied.wrapping_add(1);
        let mut x = self.settings.seed.wrapping_add(self.varied.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        let width = spread.max.saturating_sub(spread.min).saturating_add(1);
        spread.min + if width == 0 { x } else { x % width }
    }

    /// Whether `life` is still the node's.
    pub(super) fn lives(&self, node: Ix, life: u64) -> bool {
        self.nodes[node.0].life == life
    }

    /// Carries out one task.
    pub(super) fn run(&mut self, task: Task) {
        match task {
            Task::HttpUp { node, life } if self.lives(node, life) => self.http_comes_up(node),
            Task::CommandsCrash { node, life } if self.lives(node, life) => self.commands_crash(node),
            Task::CommandsReady { node, life } if self.lives(node, life) => self.commands_ready(node),
            Task::HttpDown { node, life } if self.lives(node, life) => self.http_goes_down(node),
            Task::Exit { node, life, code } if self.lives(node, life) => self.exit(node, code),
            Task::SeeUp { at, life, member, member_life } => self.see_up(at, life, member, member_life),
            Task::SeeDown { at, life, member, member_life } => self.see_down(at, life, member, member_life),
            Task::ViewAdd { at, life, member } if self.lives(at, life) => self.view_add(at, member),
            Task::ViewRemove { at, life, member } if self.lives(at, life) => self.view_remove(at, member),
            Task::FindLostView { node, life } if self.lives(node, life) => self.find_lost_view(node),
            Task::JoinLoop { node, life, peer } if self.lives(node, life) => self.join_loop(node, &peer),
            Task::Enter { node, life, peer, call } if self.lives(node, life) => self.enters(node, peer, call),
            Task::SysTick { node, life } if self.lives(node, life) => self.sys_tick(node),
            Task::Admit { node, life, port } if self.lives(node, life) => self.admit(node, port),
            Task::Connected { conn } => self.register(conn),
            Task::RefuseZombie { conn } => self.refuse_known_client(conn),
            Task::Pulled { conn, key, from, to } => self.pulled(conn, &key, from, to),
            Task::DrainStateEnds { node, life, key } if self.lives(node, life) => {
                self.drain_state_ends(node, &key);
            }
            Task::LeftOverGoes { node, life, key } if self.lives(node, life) => {
                self.left_over_goes(node, &key);
            }
            Task::LeaveLook { leave } => self.leave_looks(leave),
            Task::LeaveOffline { node, life } if self.lives(node, life) => self.leave_waits_offline(node),
            Task::Migrate { node, life } if self.lives(node, life) => self.migrate_some(node),
            Task::LeaveSplit { node, life } if self.lives(node, life) => self.leave_splits(node),
            Task::LeaveDone { node, life } if self.lives(node, life) => self.leave_done(node),
            Task::RepairStep { repair } => self.repair_some(repair),
            Task::Answer { call, answer } => self.answer_now(call, answer),
            Task::Cut { call } => self.cut(call),
            // A task of an earlier life of its node.
            _ => {}
        }
    }
}
