//! What the messages of a source come to: one state, out of what the connection does and of what is heard on it.
//!
//! Messages alone do not make a source `up`: another broker's `$SYS` is full of them. Nor does silence alone take it down:
//! nodes that send once a minute are silent for a minute.

use std::time::Duration;

use lifecycle::Time;

use crate::mqtt::connection_state::Link;
use crate::mqtt::foreign::Tree;
use autoscaler::metrics::UNLEARNED_PATIENCE;

/// What one message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of VerneMQ or mosquitto, and it is used.
    Own,
    /// Of another broker.
    Foreign(Tree),
    /// It says nothing about whose broker this is.
    Neither,
}

/// How far the source has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Not subscribed.
    Away,
    /// Some filters were refused, others bring messages: that stays the state.
    PartlyRefused,
    /// Subscribed, and nothing of use was heard since.
    Granted(Time),
    /// Our own tree.
    Own,
    /// Another broker's.
    Foreign,
    /// It was said that nothing comes, at this time.
    Quiet(Time),
}

/// A state to tell, with its cause.
pub(super) type Told = Option<(Link, String)>;

/// The present state of a source.
#[derive(Debug)]
pub(super) struct Heard {
    message_wait: Duration,
    stage: Stage,
}

impl Heard {
    /// Not subscribed yet. `message_wait` is the silence after which a subscription is said to bring nothing.
    pub(super) fn new(message_wait: Duration) -> Self {
        Self { message_wait, stage: Stage::Away }
    }

    /// The connection is in another state, or has ended.
    pub(super) fn link(&mut self, link: Link, now: Time) {
        self.stage = match link {
            Link::Subscribed => Stage::Granted(now),
            Link::AclRefused => Stage::PartlyRefused,
            _ => Stage::Away,
        };
    }

    /// A message has come.
    pub(super) fn message(&mut self, kind: Kind, now: Time) -> Told {
        match (self.stage, kind) {
            (Stage::Away | Stage::PartlyRefused, _)
            | (Stage::Own, Kind::Own | Kind::Neither)
            | (Stage::Foreign, Kind::Foreign(_) | Kind::Neither) => None,
            (_, Kind::Own) => {
                self.stage = Stage::Own;
                Some((Link::Up, "messages come".to_owned()))
            }
            // Somebody may bridge another broker's tree into ours. But where the draft's names come, what came before
            // was only taken for mosquitto's.
            (Stage::Own, Kind::Foreign(tree)) if tree != Tree::Draft => None,
            (_, Kind::Foreign(tree)) => Some(self.foreign(tree)),
            (Stage::Granted(since), Kind::Neither) if now.since(since) < self.message_wait => None,
            (Stage::Granted(_), Kind::Neither) => Some(self.foreign(Tree::Unknown)),
            (Stage::Quiet(_), Kind::Neither) => {
                self.stage = Stage::Granted(now);
                None
            }
        }
    }

    fn foreign(&mut self, tree: Tree) -> (Link, String) {
        self.stage = Stage::Foreign;
        (
            Link::ForeignTree,
            format!("messages come, but no metrics of VerneMQ or mosquitto: {}", tree.words()),
        )
    }

    /// Nothing has come for `silence`. `fresh`: some node is still within three of its own intervals.
    pub(super) fn silence(&mut self, silence: Duration, fresh: bool, now: Time) -> Told {
        let enough = match self.stage {
            Stage::Away | Stage::PartlyRefused => false,
            Stage::Granted(_) => silence >= self.message_wait,
            Stage::Own => silence >= self.message_wait && !fresh,
            // Intervals of another broker are not learned: EMQX and HiveMQ send once a minute.
            Stage::Foreign => silence >= self.message_wait.max(UNLEARNED_PATIENCE),
            // Counted once more as long as it lasts.
            Stage::Quiet(told) => now.since(told) >= self.message_wait,
        };
        enough.then(|| {
            self.stage = Stage::Quiet(now);
            (Link::NoMessages, format!("subscribed, but no message for {} s", silence.as_secs()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn subscribed() -> Heard {
        let mut heard = Heard::new(MINUTE);
        heard.link(Link::Subscribed, Time(0));
        heard
    }

    fn link(told: Told) -> Option<Link> {
        told.map(|(link, _)| link)
    }

    #[test]
    fn a_state_is_told_when_it_begins() {
        let mut heard = subscribed();
        assert_eq!(link(heard.message(Kind::Neither, Time(1))), None);
        assert_eq!(link(heard.message(Kind::Own, Time(2))), Some(Link::Up));
        assert_eq!(link(heard.message(Kind::Own, Time(3))), None);
        // A bridge brings another tree beside ours.
        assert_eq!(link(heard.message(Kind::Foreign(Tree::Emqx), Time(4))), None);
        assert_eq!(link(heard.message(Kind::Foreign(Tree::Draft), Time(5))), Some(Link::ForeignTree));
        let mut heard = subscribed();
        let (state, cause) = heard.message(Kind::Foreign(Tree::Emqx), Time(1)).unwrap();
        assert!(state == Link::ForeignTree && cause.contains("EMQX"), "{cause}");
        assert_eq!(link(heard.message(Kind::Foreign(Tree::Unknown), Time(2))), None);
        assert_eq!(link(heard.message(Kind::Own, Time(3))), Some(Link::Up));
    }

    #[test]
    fn messages_that_are_nothing_do_not_make_it_up_for_ever() {
        let mut heard = subscribed();
        assert_eq!(link(heard.message(Kind::Neither, Time(59_999))), None);
        assert_eq!(link(heard.message(Kind::Neither, Time(60_000))), Some(Link::ForeignTree));
    }

    #[test]
    fn silence_is_told_by_what_came_before() {
        let (short, long) = (Duration::from_secs(59), MINUTE * 3);
        assert_eq!(link(subscribed().silence(short, false, Time(0))), None);
        assert_eq!(link(subscribed().silence(MINUTE, false, Time(0))), Some(Link::NoMessages));
        let mut own = subscribed();
        own.message(Kind::Own, Time(0));
        assert_eq!(link(own.silence(long, true, Time(0))), None, "a node is within its intervals");
        assert_eq!(link(own.silence(MINUTE, false, Time(0))), Some(Link::NoMessages));
        assert_eq!(link(own.silence(long, false, Time(1))), None, "once a minute");
        assert_eq!(link(own.silence(long, false, Time(60_000))), Some(Link::NoMessages));
        assert_eq!(link(own.message(Kind::Neither, Time(60_001))), None);
        assert_eq!(link(own.message(Kind::Own, Time(60_002))), Some(Link::Up));
        let mut other = subscribed();
        other.message(Kind::Foreign(Tree::Emqx), Time(0));
        assert_eq!(link(other.silence(MINUTE, false, Time(0))), None);
        assert_eq!(link(other.silence(long, false, Time(0))), Some(Link::NoMessages));
    }

    #[test]
    fn who_is_away_or_partly_refused_stays_so() {
        let mut heard = Heard::new(MINUTE);
        assert_eq!(link(heard.message(Kind::Own, Time(0))), None);
        heard.link(Link::AclRefused, Time(1));
        assert_eq!(link(heard.message(Kind::Own, Time(2))), None);
        assert_eq!(link(heard.silence(MINUTE * 9, false, Time(3))), None);
    }
}
