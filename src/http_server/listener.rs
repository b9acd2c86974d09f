//! A listener with a bound on its connections and on their silence.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Holds at most so many connections at a time. For one more, the one that has waited longest for a byte of an
/// answer gives way: were the newcomer to wait, a handful of clients that send a letter a minute could keep every
/// scrape out.
pub(super) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    /// At most as many as there are permits, and those that are closing.
    places: Vec<Weak<Place>>,
    turns: Arc<AtomicU64>,
    idle: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, connections: usize, idle: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(connections));
        Self { listener, permits, places: Vec::new(), turns: Arc::default(), idle }
    }

    /// Tells the connection that was served longest ago to end.
    fn give_way(&mut self) {
        self.places.retain(|place| place.strong_count() > 0);
        let places = self.places.iter().filter_map(Weak::upgrade);
        let staying = places.filter(|place| !place.told.load(Ordering::Relaxed));
        if let Some(place) = staying.min_by_key(|place| place.served.load(Ordering::Relaxed)) {
            place.told.store(true, Ordering::Relaxed);
            place.waker.wake();
        }
    }
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if self.permits.available_permits() == 0 {
            self.give_way();
        }
        // The semaphore is never closed; without it there would be no bound, but still service.
        let permit = self.permits.clone().acquire_owned().await.ok();
        let place = Arc::new(Place::default());
        place.served.store(self.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.places.push(Arc::downgrade(&place));
        let (idle, turns) = (self.idle, self.turns.clone());
        let silence = Box::pin(sleep(idle));
        (Held { stream, _permit: permit, place, turns, idle, active: false, silence }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What the listener knows of a connection.
#[derive(Default)]
struct Place {
    /// The turn at which it was accepted or last took a byte of an answer. Turns only count: no clock is needed.
    served: AtomicU64,
    /// To give way.
    told: AtomicBool,
    waker: AtomicWaker,
}

/// A connection that gives its place back when it is dropped.
pub(super) struct Held {
    stream: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
    place: Arc<Place>,
    turns: Arc<AtomicU64>,
    idle: Duration,
    /// Set by every byte; looked at when `silence` has passed. So the patience is one to two times `idle`, and
    /// a byte costs no timer.
    active: bool,
    silence: Pin<Box<Sleep>>,
}

impl Held {
    fn heard<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.active = true;
            return poll;
        }
        self.place.waker.register(cx.waker());
        if self.place.told.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        loop {
            ready!(self.silence.as_mut().poll(cx));
            if !std::mem::take(&mut self.active) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.silence = Box::pin(sleep(self.idle));
        }
    }

    fn served(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if poll.is_ready() {
            self.place.served.store(self.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.heard(cx, poll)
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.heard(cx, poll)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.served(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.served(cx, poll)
    }

    /// Else a page of two megabytes is copied once more before it is sent.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
