//! One call to the API server: a deadline, and what its failure means. The
//! kube client has no read timeout of its own, and its retries are switched
//! off (they repeat writes on 429, 503 and 504 up to fifteen times): whoever
//! needs a retry looks at the world again first.

use std::time::Duration;

/// Deadline of one read or write. The API server's own limit is 60 s; an answer
/// that takes longer than this is of no use to a step of 200 ms.
pub const CALL: Duration = Duration::from_secs(5);

/// Why a call to the API server did not succeed, and whether it may have happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A guard did not hold (409, or 422 of a JSON patch's `test`): the world has moved on.
    #[error("{call}: the guard did not hold: {why}")]
    Conflict {
        /// What was called.
        call: &'static str,
        /// The server's words.
        why: String,
    },
    /// The object is not there (404).
    #[error("{call}: not found: {why}")]
    NotFound {
        /// What was called.
        call: &'static str,
        /// The server's words.
        why: String,
    },
    /// 401: the API server does not know who we are.
    #[error("{call}: our credentials are not accepted: {why}; renew the token, or correct the kubeconfig")]
    Unauthorized {
        /// What was called.
        call: &'static str,
        /// The server's words.
        why: String,
    },
    /// 403: RBAC or an admission policy.
    #[error("{call}: not allowed: {why}; give the controller's ServiceAccount this right")]
    Forbidden {
        /// What was called.
        call: &'static str,
        /// The server's words.
        why: String,
    },
    /// Refused for another reason (429, 400, …): it has not happened.
    #[error("{call}: refused with {code}: {why}")]
    Refused {
        /// What was called.
        call: &'static str,
        /// HTTP status.
        code: u16,
        /// The server's words.
        why: String,
    },
    /// 5xx, a broken connection, no answer: it may have happened.
    #[error("{call}: outcome unknown: {why}")]
    Unknown {
        /// What was called.
        call: &'static str,
        /// What was seen.
        why: String,
    },
}

impl Failure {
    /// One CamelCase word for conditions, metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "Conflict",
            Self::NotFound { .. } => "NotFound",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Forbidden { .. } => "Forbidden",
            Self::Refused { .. } => "Refused",
            Self::Unknown { .. } => "Unknown",
        }
    }
}

/// Runs one call to the API server within [`CALL`].
pub async fn api<T>(
    call: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failure> {
    within(call, CALL, request).await
}

/// Runs one call to the API server within `limit`.
pub async fn within<T>(
    call: &'static str,
    limit: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(call, error)),
        Err(_) => Err(Failure::Unknown { call, why: format!("no answer within {limit:?}") }),
    }
}

fn classify(call: &'static str, error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let why = status.message.clone();
            match status.code {
                409 | 412 | 422 => Failure::Conflict { call, why },
                404 | 410 => Failure::NotFound { call, why },
                401 => Failure::Unauthorized { call, why },
                403 => Failure::Forbidden { call, why },
                code @ (400..=499) => Failure::Refused { call, code, why },
                code => Failure::Unknown { call, why: format!("HTTP {code}: {why}") },
            }
        }
        other => Failure::Unknown { call, why: with_causes(&other) },
    }
}

/// What a client's error says by itself is often only which of its layers has failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Many a layer repeats the one below.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(409, "Conflict")]
    #[case(422, "Conflict")]
    #[case(404, "NotFound")]
    #[case(401, "Unauthorized")]
    #[case(403, "Forbidden")]
    #[case(429, "Refused")]
    #[case(500, "Unknown")]
    #[case(504, "Unknown")]
    fn a_status_says_whether_it_may_have_happened(#[case] code: u16, #[case] kind: &str) {
        let status = Status { code, message: "why".into(), ..Status::default() };
        assert_eq!(classify("patch scale", kube::Error::Api(status.boxed())).kind(), kind);
    }

    #[test]
    fn an_error_of_the_client_is_told_to_its_root() {
        let refused = std::io::Error::other("connection refused");
        let error = kube::Error::Service(Box::new(http_like(refused)));
        let text = classify("get lease", error).to_string();
        assert_eq!(text.matches("connection refused").count(), 1, "{text}");
    }

    /// As hyper's error: its own words do not hold its cause's.
    fn http_like(cause: std::io::Error) -> impl std::error::Error + Send + Sync {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Outer(#[source] std::io::Error);
        Outer(cause)
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_unknown() {
        let failure = api("patch scale", std::future::pending::<kube::Result<()>>()).await.unwrap_err();
        assert_eq!(failure.kind(), "Unknown");
        assert!(failure.to_string().contains("5s"), "{failure}");
    }
}
