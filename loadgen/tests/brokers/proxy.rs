//! A TCP proxy that cuts connections.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards to one broker. Dropping it closes everything.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    cuts: watch::Sender<u32>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, to, cuts.clone()));
        Self { address, cuts, _tasks: tasks }
    }

    /// Cuts every connection that is open now.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, cuts: watch::Sender<u32>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut cuts = cuts.subscribe();
        connections.spawn(async move {
            let Ok(mut broker) = TcpStream::connect(to).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut broker) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}
