//! What is counted when a run has ended.

use loadgen::Report;

use super::Verdict;
use super::cluster::Cluster;

/// Members that do not run, and nodes that serve outside the cluster of the first pod.
pub(super) fn left_behind(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
    let views = cluster.views();
    let Some(main) = views.values().next() else { return (Vec::new(), Vec::new()) };
    let dead = main.iter().filter(|(_, up)| !**up).map(|(node, _)| node.0.clone()).collect();
    let isolated = views
        .keys()
        .filter(|pod| cluster.pods.node_of(pod).is_some_and(|node| !main.contains_key(&node)))
        .cloned()
        .collect();
    (dead, isolated)
}

/// Takes what the load generator counted.
pub(super) fn fill_in(verdict: &mut Verdict, report: &Report) {
    for tally in [&report.connections, &report.subscriber_connections] {
        verdict.connects_refused_tcp += tally.tcp_refused;
        verdict.connects_failed_otherwise +=
            tally.timed_out + tally.closed_before_connack + tally.other_failures;
        for (code, count) in &tally.connack {
            *verdict.connects_refused_code.entry(code.clone()).or_default() += count;
        }
    }
    verdict.sent = report.messages.sent;
    verdict.acknowledged = report.messages.acknowledged;
    if let Some(probes) = &report.probes {
        let failed: u64 = probes.failures.values().sum();
        verdict.probes = (probes.succeeded + failed, failed);
    }
    if let Some(ledger) = &report.ledger {
        verdict.received = ledger.delivered;
        verdict.lost = ledger.lost;
        verdict.unknown = ledger.unknown_subscriber_away;
        verdict.duplicated = ledger.copies_by_broker;
    }
}
