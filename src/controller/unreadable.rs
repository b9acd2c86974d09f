//! Brokers that cannot be read: which page, what it answered, and what to do. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Ordinal, Severity, Time};

use super::brokers::Answered;
use super::observation::Observation;
use super::page::{Page, Trouble};
use crate::conditions::Told;

/// A broker that boots answers 400 and 500 for half a second, and refuses for a few before
/// (docs/broker/http-api.md, "While booting"). A ready pod that cannot be read for this long is told.
const UNREADABLE_FOR: Duration = Duration::from_secs(10);

/// Since when each ready pod's broker cannot be read, and why; told once it has lasted.
pub(super) fn conditions(
    since: &mut BTreeMap<Ordinal, (&'static str, Time)>,
    observed: &Observation,
    now: Time,
) -> Vec<Told> {
    let troubled = |ordinal: &Ordinal| {
        let ready = observed.pods.get(ordinal).is_some_and(|pod| pod.ready && !pod.deleting);
        let trouble = observed.answered.get(ordinal).and_then(|one: &Answered| one.trouble.as_ref());
        trouble.filter(|_| ready)
    };
    since.retain(|ordinal, (kind, _)| troubled(ordinal).is_some_and(|now| now.kind == *kind));
    let keyed = observed.resource.spec.management.secret_ref.is_some();
    let mut told = Vec::new();
    for ordinal in observed.pods.keys() {
        let Some(trouble) = troubled(ordinal) else { continue };
        let (_, at) = since.entry(*ordinal).or_insert((trouble.kind, now));
        if now.since(*at) < UNREADABLE_FOR {
            continue;
        }
        let (name, remedy) = remedy(trouble, keyed);
        let text = format!(
            "pod {ordinal} has been unreadable for {} s: {}. {remedy}",
            now.since(*at).as_secs(),
            trouble.message
        );
        told.push(Told { name, severity: Severity::Warning, message: text, blocks: false });
    }
    told
}

/// The condition for each kind of unreadable answer, and what to do. `keyed`: a key is sent.
fn remedy(trouble: &Trouble, keyed: bool) -> (&'static str, String) {
    let port = trouble.page.port_setting();
    let (name, remedy) = match trouble.kind {
        "Unauthorized" => return ("ManagementUnauthorized", unauthorized(&trouble.refused, keyed)),
        "NotUnderstood" => (
            "ManagementNotUnderstood",
            "The broker's command layer is not up; if it stays so, see the pod's log".into(),
        ),
        "Crashed" => ("ManagementCrashed", "See the pod's log; restart the pod if it stays so".into()),
        "Html" => (
            "ManagementHtml",
            format!("Something else answers on {port}: correct the port, or take away the proxy in between"),
        ),
        "NotServed" => (
            "ManagementNotServed",
            format!(
                "The listener on {port} lacks this module: add {} to its http_modules, or set leave.via to Exec",
                trouble.page.module()
            ),
        ),
        "Empty" => (
            "ManagementEmpty",
            "Something answers with nothing: see the pod's log and what stands between".into(),
        ),
        "Refused" => (
            "ManagementRefused",
            format!("Nobody listens on {port} of the pod's address: correct the ports, or bind the listener to the pod's address"),
        ),
        "Tls" => (
            "ManagementTls",
            "The certificate must bear the pod's name POD.SERVICE.NAMESPACE.svc (*.SERVICE.NAMESPACE.svc will do), and who signed it must be in the Secret of spec.management.caSecretRef. Where the listener is a plain one, set spec.management.scheme to Http".into(),
        ),
        "Silent" => (
            "ManagementSilent",
            "No answer: see the pod's log, and whether a NetworkPolicy keeps us from its HTTP listener".into(),
        ),
        _ => (
            "ManagementMalformed",
            format!("The answer is not understood: see whether {port} is where VerneMQ serves {}", trouble.page.path()),
        ),
    };
    (name, remedy)
}

/// Each module of the HTTP listener has a key of its own scope, or asks for none (`http_module.MODULE.auth.mode`).
fn unauthorized(refused: &[Page], keyed: bool) -> String {
    let scopes: Vec<_> = refused.iter().map(|page| format!("scope={}", page.scope())).collect();
    let modules: Vec<_> =
        refused.iter().map(|page| format!("http_module.{}.auth.mode", page.module())).collect();
    let (scopes, modules) = (scopes.join(", "), modules.join(" and "));
    let key = if keyed {
        "Put the key of spec.management.secretRef onto this very node, once for each scope"
    } else {
        "spec.management.secretRef is not set, so that no key is sent: put one onto every node, once for each scope, and into a Secret that spec.management.secretRef names"
    };
    format!(
        "{key} (vmq-admin api-key add key=… with {scopes}): keys do not spread between nodes. Or set {modules} to noauth"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(kind: &'static str, page: Page, refused: &[Page]) -> Trouble {
        Trouble { kind, page, message: String::new(), refused: refused.to_vec() }
    }

    #[test]
    fn a_key_that_lacks_is_told_by_scope_and_where_none_is_sent() {
        let pages = [Page::Metrics, Page::Status];
        let (name, remedy) = remedy(&trouble("Unauthorized", Page::Metrics, &pages), true);
        assert_eq!(name, "ManagementUnauthorized");
        let words = [
            "scope=metrics, scope=status",
            "keys do not spread",
            "vmq_metrics_http.auth.mode and http_module.vmq_status_http.auth.mode",
        ];
        assert!(words.iter().all(|word| remedy.contains(word)), "{remedy}");
        assert!(!remedy.contains("is not set") && !remedy.contains("mgmt"), "{remedy}");
        let (_, remedy) = super::remedy(&trouble("Unauthorized", Page::Members, &[Page::Members]), false);
        assert!(remedy.contains("secretRef is not set") && remedy.contains("scope=mgmt"), "{remedy}");
    }

    #[test]
    fn a_page_is_told_with_the_setting_of_its_own_port() {
        for (page, port) in [
            (Page::Metrics, "spec.management.metricsPort is where VerneMQ serves /metrics"),
            (Page::Status, "spec.management.metricsPort is where VerneMQ serves /status.json"),
            (Page::Members, "spec.management.port is where VerneMQ serves /api/v1/cluster/show"),
        ] {
            let (name, remedy) = remedy(&trouble("Malformed", page, &[]), true);
            assert!(name == "ManagementMalformed" && remedy.contains(port), "{remedy}");
        }
    }
}
