//! Which message a packet identifier belongs to, and when the next one may go.
//!
//! rumqttc 0.25 hands out identifiers in a circle and does not look whether one
//! is still in use: a second PUBLISH on an open identifier is held back as a
//! "collision", and at QoS 2 its end is even an error that costs the connection.
//! So this mirrors the circle and holds the next message back until its
//! identifier is free; then no collision can happen.

use std::collections::VecDeque;

/// Messages given to the client and not yet acknowledged. `M` is the message.
#[derive(Debug)]
pub(crate) struct Window<M> {
    /// Given to the client, not yet on the wire, in the order given.
    given: VecDeque<M>,
    /// On the wire, by packet identifier (index 0 stays empty).
    open: Vec<Option<M>>,
    open_count: usize,
    /// The identifier that the client will hand out next.
    next: usize,
    /// Messages in flight at most.
    size: usize,
}

impl<M> Window<M> {
    /// At most `size` messages in flight on identifiers `1..=identifiers`.
    pub(crate) fn new(size: u16, identifiers: u16) -> Self {
        let identifiers = usize::from(identifiers.max(1));
        let open = std::iter::repeat_with(|| None).take(identifiers + 1).collect();
        Self {
            given: VecDeque::new(),
            open,
            open_count: 0,
            next: 1,
            size: usize::from(size).clamp(1, identifiers),
        }
    }

    /// Whether a further message may be given to the client.
    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.size && self.identifier_is_free()
    }

    /// The identifiers of the messages that are given but not yet sent are not
    /// marked as open: look as far ahead as there are such messages.
    fn identifier_is_free(&self) -> bool {
        let circle = self.open.len() - 1;
        let ahead = (self.next - 1 + self.given.len()) % circle + 1;
        self.open[ahead].is_none()
    }

    /// `message` was given to the client. Only after [`Self::has_room`].
    pub(crate) fn give(&mut self, message: M) {
        self.given.push_back(message);
    }

    /// The client put the oldest given message on the wire under `identifier`
    /// (0: QoS 0, which nobody acknowledges). `Err`: the mirror is off, which
    /// only a defect can cause; the connection must be dropped.
    pub(crate) fn sent(&mut self, identifier: u16) -> Result<Sent<'_, M>, OutOfStep> {
        let message = self.given.pop_front().ok_or(OutOfStep)?;
        if identifier == 0 {
            return Ok(Sent::Forgotten(message));
        }
        let index = usize::from(identifier);
        if index != self.next || self.open.get(index).is_none_or(Option::is_some) {
            self.given.push_front(message);
            return Err(OutOfStep);
        }
        self.next = if index + 1 == self.open.len() { 1 } else { index + 1 };
        self.open_count += 1;
        Ok(Sent::Open(self.open[index].insert(message)))
    }

    /// The broker finished with `identifier`; `None` if nothing was open there.
    pub(crate) fn finished(&mut self, identifier: u16) -> Option<M> {
        let message = self.open.get_mut(usize::from(identifier))?.take()?;
        self.open_count -= 1;
        Some(message)
    }

    /// Messages given or on the wire.
    pub(crate) fn len(&self) -> usize {
        self.given.len() + self.open_count
    }

    /// All messages in the window, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.open.iter().flatten().chain(&self.given)
    }

    /// Takes all messages out, in no order: the connection is gone.
    pub(crate) fn drain(self) -> impl Iterator<Item = M> {
        self.open.into_iter().flatten().chain(self.given)
    }
}

/// What became of a message that went on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent<'a, M> {
    /// It waits for its acknowledgement.
    Open(&'a mut M),
    /// QoS 0: nobody will acknowledge it.
    Forgotten(M),
}

/// The client used another identifier than expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfStep;

#[cfg(test)]
mod tests {
    use super::*;

    fn give_and_send(window: &mut Window<u32>, mut message: u32, identifier: u16) {
        assert!(window.has_room(), "message {message}");
        window.give(message);
        assert_eq!(window.sent(identifier), Ok(Sent::Open(&mut message)));
    }

    #[test]
    fn holds_back_at_the_size() {
        let mut window = Window::new(2, 8);
        give_and_send(&mut window, 10, 1);
        window.give(11);
        assert!(!window.has_room());
        assert_eq!(window.finished(1), Some(10));
        assert!(window.has_room());
    }

    #[test]
    fn holds_back_while_the_next_identifier_is_open() {
        let mut window = Window::new(3, 3);
        for (message, identifier) in [(10, 1), (11, 2), (12, 3)] {
            give_and_send(&mut window, message, identifier);
        }
        // Acknowledged out of order: there is room, but identifier 1 is taken.
        assert_eq!(window.finished(3), Some(12));
        assert!(window.len() == 2 && !window.has_room());
        assert_eq!(window.finished(1), Some(10));
        give_and_send(&mut window, 13, 1);
        assert!(!window.has_room(), "identifier 2 is open");
    }

    #[test]
    fn looks_ahead_over_messages_not_yet_sent() {
        let mut window = Window::new(3, 3);
        for (message, identifier) in [(10, 1), (11, 2), (12, 3)] {
            give_and_send(&mut window, message, identifier);
        }
        window.finished(1);
        window.finished(3);
        window.give(13);
        assert!(!window.has_room(), "13 will take 1, the next would take 2, which is open");
    }

    #[test]
    fn an_unexpected_identifier_is_out_of_step() {
        let mut window = Window::new(3, 3);
        window.give(10);
        assert_eq!(window.sent(2), Err(OutOfStep));
        assert_eq!(window.drain().collect::<Vec<_>>(), [10], "the message is not forgotten");
        assert_eq!(Window::<u32>::new(1, 1).sent(1), Err(OutOfStep));
    }

    #[test]
    fn unknown_acknowledgements_change_nothing() {
        let mut window = Window::new(2, 2);
        give_and_send(&mut window, 10, 1);
        assert_eq!((window.finished(2), window.finished(9), window.len()), (None, None, 1));
    }
}
