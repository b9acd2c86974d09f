//! The report for people: plain lines, readable without colour.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::{LedgerReport, Report};
use crate::latency::Summary;
use crate::tally::Tally;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        self.messages(f)?;
        if let Some(ledger) = &self.ledger {
            writeln!(f)?;
            write_ledger(f, ledger, &self.verdict())?;
        }
        self.latencies(f)?;
        writeln!(f)?;
        write_tally(f, "connections", &self.connections)?;
        if self.ledger.is_some() {
            write_tally(f, "subscribers", &self.subscriber_connections)?;
        }
        if let Some(probes) = &self.probes {
            let failed: u64 = probes.failures.values().sum();
            write!(f, "probes        {} ok, {failed} failed", probes.succeeded)?;
            write_kinds(f, &probes.failures)?;
            writeln!(
                f,
                "; {} s without service, {} s with failures, of {} s",
                probes.seconds_without_service, probes.seconds_with_failures, probes.seconds_observed
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn heading(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let it = &self.settings;
        let load = match (it.rate, it.cycle_s) {
            (Some(rate), _) => {
                format!("open loop at {rate} msg/s over {}", some(it.connections, "connection"))
            }
            (_, Some(cycle)) => format!("{}, a cycle every {cycle} s", some(it.connections, "device")),
            _ => format!("flood (closed loop) on {}", some(it.connections, "connection")),
        };
        let version = if it.protocol == 5 { "MQTT 5" } else { "MQTT 3.1.1" };
        writeln!(f, "{load}, QoS {}, {version}, {} bytes, window {}", it.qos, it.payload_bytes, it.window)?;
        writeln!(f, "{} after {:.1} s", self.ended, self.elapsed_s)
    }

    fn messages(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let it = &self.messages;
        writeln!(f)?;
        if let Some(due) = it.due {
            write!(f, "due           {due:>10}")?;
            match due.saturating_sub(it.sent) {
                0 => writeln!(f)?,
                late if self.ended == "stopped" => writeln!(f, "  ({late} still to be sent when stopped)")?,
                late => writeln!(f, "  ({late} not sent in time: broker or generator too slow)")?,
            }
        }
        writeln!(f, "sent          {:>10}  {:.0}/s", it.sent, it.sent_per_s)?;
        if it.resent > 0 {
            writeln!(
                f,
                "sent again    {:>10}  after a connection broke before the acknowledgement",
                it.resent
            )?;
        }
        if self.settings.qos > 0 {
            writeln!(f, "acknowledged  {:>10}  {:.0}/s", it.acknowledged, it.acknowledged_per_s)?;
            if it.unacknowledged > 0 {
                writeln!(f, "no answer     {:>10}  nothing was promised for them", it.unacknowledged)?;
            }
        }
        if !it.rejected.is_empty() {
            write!(f, "rejected      {:>10} ", it.rejected.values().sum::<u64>())?;
            write_kinds(f, &it.rejected)?;
            writeln!(f)?;
        }
        if it.cycles_missed > 0 {
            writeln!(f, "cycles missed {:>10}  the one before took longer than a cycle", it.cycles_missed)?;
        }
        Ok(())
    }

    /// One line that says what the ledger proves.
    pub fn verdict(&self) -> String {
        let (sent, acknowledged) = (self.messages.sent, self.messages.acknowledged);
        if sent == 0 {
            return "nothing was sent".to_owned();
        }
        if self.settings.qos > 0 && acknowledged == 0 {
            return format!("nothing was acknowledged, so nothing is proven{}", self.hint());
        }
        let Some(it) = &self.ledger else { return "no subscribers: deliveries were not checked".to_owned() };
        if it.lost > 0 {
            format!("{} acknowledged messages were LOST", it.lost)
        } else if it.unknown_subscriber_away > 0 {
            format!("not proven: {} messages miss a subscriber that was away", it.unknown_subscriber_away)
        } else if self.settings.qos == 0 {
            format!(
                "QoS 0 promises nothing; {} of {} arrived",
                it.unacknowledged_delivered, self.messages.sent
            )
        } else if self.messages.acknowledged == 0 {
            "nothing was acknowledged, so nothing is proven".to_owned()
        } else {
            format!("all {} acknowledged messages were delivered", it.delivered)
        }
    }

    /// What to try when a broker closes every connection.
    fn hint(&self) -> &'static str {
        let (it, lost) = (&self.settings, self.connections.lost_connections());
        match it.qos {
            _ if lost == 0 => "",
            2 if it.protocol == 4 && it.window > 20 => {
                "; the broker closed the connections, perhaps because it takes fewer QoS 2 messages at once: try --window 20"
            }
            _ => "; the broker closed the connections: it may not allow this topic, payload size or client",
        }
    }

    fn latencies(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let it = &self.latency_ms;
        writeln!(f, "\nlatency, ms         p50       p90       p99     p99.9       max     count")?;
        write_times(f, "corrected", it.corrected.as_ref())?;
        write_times(f, "raw", it.raw.as_ref())?;
        write_times(f, "send lag", it.send_lag.as_ref())?;
        write_times(f, "end to end", it.end_to_end.as_ref())?;
        write_times(f, "connect", it.connect.as_ref())?;
        writeln!(f, "({})", it.note)
    }
}

fn some(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn write_ledger(f: &mut Formatter<'_>, it: &LedgerReport, verdict: &str) -> fmt::Result {
    writeln!(f, "ledger: {verdict}")?;
    writeln!(f, "delivered     {:>10}", it.delivered)?;
    write!(f, "lost          {:>10}", it.lost)?;
    match it.lost_numbers.as_slice() {
        [] => writeln!(f)?,
        numbers => writeln!(f, "  first numbers {numbers:?}")?,
    }
    writeln!(
        f,
        "unknown       {:>10}  {} with their subscriber away, {} never acknowledged (of which {} arrived)",
        it.unknown_subscriber_away + it.unacknowledged_missing + it.unacknowledged_delivered,
        it.unknown_subscriber_away,
        it.unacknowledged_missing + it.unacknowledged_delivered,
        it.unacknowledged_delivered,
    )?;
    writeln!(
        f,
        "duplicated    {:>10}  further copies: {} by our resends, {} redelivered (DUP), {} by the broker",
        it.duplicated, it.copies_by_resend, it.copies_redelivered, it.copies_by_broker
    )?;
    if it.sessions_lost > 0 {
        writeln!(f, "sessions lost {:>10}  the broker forgot a persistent session", it.sessions_lost)?;
    }
    if it.subscriptions_downgraded > 0 {
        writeln!(
            f,
            "downgraded    {:>10}  subscriptions granted with a lower QoS",
            it.subscriptions_downgraded
        )?;
    }
    if it.sessions_left > 0 {
        writeln!(
            f,
            "sessions left {:>10}  could not be removed at the end, and queue what is published: {}",
            it.sessions_left,
            it.sessions_left_ids.join(" ")
        )?;
    }
    if it.foreign > 0 {
        writeln!(f, "foreign       {:>10}  messages on the topic that this run did not send", it.foreign)?;
    }
    Ok(())
}

fn write_times(f: &mut Formatter<'_>, name: &str, times: Option<&Summary>) -> fmt::Result {
    let Some(it) = times else { return Ok(()) };
    writeln!(
        f,
        "{name:<12} {:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>10}",
        it.p50, it.p90, it.p99, it.p99_9, it.max, it.count
    )
}

fn write_tally(f: &mut Formatter<'_>, name: &str, it: &Tally) -> fmt::Result {
    write!(f, "{name:<13} {} accepted, {} refused or failed", it.accepted, it.failures())?;
    let mut kinds: BTreeMap<String, u64> =
        it.connack.iter().map(|(code, count)| (format!("CONNACK {code}"), *count)).collect();
    for (kind, count) in [
        ("TCP refused", it.tcp_refused),
        ("no answer in time", it.timed_out),
        ("closed before CONNACK", it.closed_before_connack),
        ("other", it.other_failures),
    ] {
        kinds.extend((count > 0).then(|| (kind.to_owned(), count)));
    }
    write_kinds(f, &kinds)?;
    write!(f, ", {} lost", it.lost_connections())?;
    write_kinds(f, &it.disconnects)?;
    write!(f, ", {} retries", it.retries)?;
    if !it.subscriptions_refused.is_empty() {
        write!(f, ", subscriptions refused")?;
        write_kinds(f, &it.subscriptions_refused)?;
    }
    writeln!(f)
}

fn write_kinds(f: &mut Formatter<'_>, kinds: &BTreeMap<String, u64>) -> fmt::Result {
    if kinds.is_empty() {
        return Ok(());
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    write!(f, " ({})", kinds.join(", "))
}
