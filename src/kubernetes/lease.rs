//! The Lease object: read, then created or replaced at the very version that
//! was read. A patch without that guard would let two leaders in.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use lifecycle::Time;
use tokio::sync::watch;

use crate::kubernetes::call::{Failure, within};
use crate::kubernetes::event::timestamp;
use crate::kubernetes::leader_election::{Election, Move, Record};
use net::Clock;

/// Each of the two calls that give it back: a process that ends has seconds.
const RELEASE: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether we lead, for everybody who acts: until when, in our own time.
pub type Leading = watch::Receiver<Option<Time>>;

/// Keeps trying to hold the lease, for ever. `leading` says until when we may act; `failed` is told of
/// each call that failed.
pub async fn run(
    leases: Api<Lease>,
    name: String,
    mut election: Election,
    clock: Clock,
    leading: watch::Sender<Option<Time>>,
    failed: impl Fn(&Failure),
) {
    let mut last: Option<Lease> = None;
    loop {
        let sent = clock.now();
        match attempt(&leases, &name, &mut election, &clock, sent, last.take()).await {
            Ok(lease) => last = lease,
            Err(failure) => {
                failed(&failure);
                tracing::warn!(%failure, lease = name, "the lease could not be renewed");
            }
        }
        let until = election.acts_until().filter(|until| clock.now() < *until);
        if until.is_none() && leading.borrow().is_some() {
            tracing::warn!(lease = name, identity = election.identity(), "no longer leading");
        }
        leading.send_replace(until);
        tokio::time::sleep(election.timing().retry).await;
    }
}

/// Gives the lease back where it is ours.
pub async fn release(leases: &Api<Lease>, name: &str, identity: &str) -> Result<(), Failure> {
    let Some(mut lease) = within("get lease", RELEASE, leases.get_opt(name)).await? else { return Ok(()) };
    let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(identity))
    else {
        return Ok(());
    };
    spec.holder_identity = None;
    within("replace lease", RELEASE, leases.replace(name, &PostParams::default(), &lease)).await.map(drop)
}

/// One attempt; gives back the lease as we wrote it.
async fn attempt(
    leases: &Api<Lease>,
    name: &str,
    election: &mut Election,
    clock: &Clock,
    sent: Time,
    known: Option<Lease>,
) -> Result<Option<Lease>, Failure> {
    // Two attempts must fit into the time between "we stop acting" and our last renewal.
    let limit = election.timing().act / 4;
    // What we wrote last is what stands there, unless somebody else has written: then the guard
    // fails, and the next attempt reads.
    let read = match known {
        Some(lease) => Some(lease),
        None => within("get lease", limit, leases.get_opt(name)).await?,
    };
    let record = read.as_ref().map(record);
    match election.observe(record.as_ref(), clock.now()) {
        Move::Wait => Ok(None),
        Move::Write { version, transitions, acquire } => {
            let mut lease = read.unwrap_or_default();
            lease.metadata = ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: version.clone(),
                ..lease.metadata
            };
            lease.spec = Some(spec(election, lease.spec.take(), transitions, acquire, sent));
            let params = PostParams::default();
            let written = if version.is_some() {
                within("replace lease", limit, leases.replace(name, &params, &lease)).await
            } else {
                within("create lease", limit, leases.create(&params, &lease)).await
            };
            match written {
                Ok(lease) => {
                    if acquire {
                        tracing::info!(lease = name, identity = election.identity(), "leading");
                    }
                    election.written(sent);
                    Ok(Some(lease))
                }
                Err(failure) => Err(failure),
            }
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity,
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        duration: spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(std::time::Duration::from_secs),
    }
}

fn spec(
    election: &Election,
    old: Option<LeaseSpec>,
    transitions: u32,
    acquire: bool,
    now: Time,
) -> LeaseSpec {
    let old = old.unwrap_or_default();
    let now = MicroTime(timestamp(now));
    LeaseSpec {
        holder_identity: Some(election.identity().to_owned()),
        lease_duration_seconds: i32::try_from(election.timing().lease.as_secs()).ok(),
        lease_transitions: i32::try_from(transitions).ok(),
        acquire_time: if acquire { Some(now.clone()) } else { old.acquire_time },
        renew_time: Some(now),
        ..old
    }
}
