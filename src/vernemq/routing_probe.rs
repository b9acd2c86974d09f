//! The proof that a newcomer really routes: messages that cross between it and
//! an older member over MQTT. `cluster show` is no proof, nor is a SUBACK: a
//! node that has just joined acknowledges and loses for 7.5 s (docs/broker/join.md, "Losses after a join").
//!
//! Never before the join: one client on a node that is not yet a member makes
//! its join impossible (`join_refused_after_client_on_newcomer.txt`). The
//! lifecycle sees to that.
//!
//! The same is tried on a member alone before anything is raised: see `controller::rehearsal`.

mod choice;
mod frame;
mod link;
mod side;
mod trouble;

use std::time::Duration;

use lifecycle::Call;
use net::Login;
use tokio::time::{sleep, timeout};

pub use choice::{Broker, Wanted, choose};
pub use side::{CLIENT_IDS, Side};

use link::Link;
use trouble::{Cause, Trouble};

/// Messages that must cross in each direction, one after the other (docs/broker/join.md, "In step").
const CROSSINGS: u32 = 3;

/// A granted subscription does not route at once, even on its own node (docs/broker/practice.md, "Set-up").
const AFTER_SUBACK: Duration = Duration::from_millis(200);

/// One message must be there within this time; across two nodes it takes milliseconds.
const ONE_CROSSING: Duration = Duration::from_secs(2);

/// Text of the answer of a routing probe that has crossed.
pub const CROSSED: &str = "crossed";

/// Sends messages from a newcomer to its peer and back, through the first of these pairs of listeners that lets it in.
/// `tag` makes its topics its own. Answered with [`CROSSED`], refused where the brokers are set so that it cannot be,
/// unknown where anything else fails.
pub async fn cross(pairs: &[(Side, Side)], login: Option<&Login>, tag: &str, limit: Duration) -> Call {
    let tried = async {
        let mut met = Vec::new();
        for (newcomer, peer) in pairs {
            match both(newcomer, peer, login, tag).await {
                Ok(()) => return Call::Answered(CROSSED.into()),
                Err(trouble) => {
                    let elsewhere = trouble.elsewhere();
                    met.push(trouble);
                    if !elsewhere {
                        break;
                    }
                }
            }
        }
        trouble::outcome(&met)
    };
    timeout(limit, tried)
        .await
        .unwrap_or_else(|_| Call::Unknown(format!("no message crossed within {limit:?}")))
}

async fn both(newcomer: &Side, peer: &Side, login: Option<&Login>, tag: &str) -> Result<(), Trouble> {
    let topic = |side: &str| format!("vernescale/probe/{tag}/{side}");
    let [new_id, old_id] = CLIENT_IDS;
    // One after the other: a refusal by the first leaves the second untouched.
    let mut new = Link::open(newcomer, login, new_id).await?;
    new.subscribe(&topic("newcomer")).await?;
    let mut old = Link::open(peer, login, old_id).await?;
    old.subscribe(&topic("peer")).await?;
    sleep(AFTER_SUBACK).await;
    for round in 0..CROSSINGS {
        let payload = format!("{tag}-{round}");
        new.publish(&topic("peer"), &payload);
        old.publish(&topic("newcomer"), &payload);
        timeout(ONE_CROSSING, received(&mut new, &mut old, &payload))
            .await
            .map_err(|_| new.trouble(Cause::Lost(round)))??;
    }
    new.close(AFTER_SUBACK).await;
    old.close(AFTER_SUBACK).await;
    Ok(())
}

/// Keeps both connections going until both have received `payload`.
async fn received(new: &mut Link, old: &mut Link, payload: &str) -> Result<(), Trouble> {
    let (mut at_new, mut at_old) = (false, false);
    while !(at_new && at_old) {
        tokio::select! {
            message = new.message() => at_new |= message? == payload,
            message = old.message() => at_old |= message? == payload,
        }
    }
    Ok(())
}
