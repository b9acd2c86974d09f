//! Errors as an API server answers them: a `Status` with the code and the reason
//! that clients decide by.

use serde_json::{Value, json};

use super::resource::Resource;

/// A request that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) code: u16,
    /// CamelCase reason.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) message: String,
    /// `details` of the status.
    pub(super) details: Value,
}

impl Refusal {
    /// One without details.
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = json!({"name": name, "kind": resource.plural});
        if !resource.group.is_empty() {
            self.details["group"] = json!(resource.group);
        }
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.id)).about(resource, name)
    }

    /// A path that no server knows.
    pub(super) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.id))
            .about(resource, name)
    }

    /// Nothing new in a namespace that goes.
    pub(super) fn terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.id);
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// A write that was based on an older version, or on another object of the same name.
    pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.id);
        Self::new(409, "Conflict", message).about(resource, name)
    }

    pub(super) fn stale(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(super) fn precondition(
        resource: &Resource,
        name: &str,
        what: &str,
        asked: &str,
        found: &str,
    ) -> Self {
        let why =
            format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}");
        Self::conflict(resource, name, &why)
    }

    /// What the schema or the rules of the kind forbid.
    pub(super) fn invalid(resource: &Resource, name: &str, field: &str, why: &str) -> Self {
        let kind = if resource.group.is_empty() {
            resource.kind.to_owned()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let mut refusal = Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {field}: {why}"))
            .about(resource, name);
        refusal.details["kind"] = json!(resource.kind);
        refusal.details["causes"] = json!([{"reason": "FieldValueInvalid", "message": why, "field": field}]);
        refusal
    }

    /// A JSON patch that does not apply, a failed `test` among them: the real
    /// server hides the cause.
    pub(super) fn unprocessable_patch() -> Self {
        let mut refusal =
            Self::new(422, "Invalid", "the server rejected our request due to an error in our request");
        refusal.details = json!({});
        refusal
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    pub(super) fn internal(message: &str) -> Self {
        let mut refusal = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        refusal.details = json!({"causes": [{"message": message}]});
        refusal
    }

    pub(super) fn too_many_requests(seconds: u32) -> Self {
        let mut refusal = Self::new(
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        );
        refusal.details = json!({"retryAfterSeconds": seconds});
        refusal
    }

    /// Seconds for the `Retry-After` header.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds").and_then(Value::as_u64)
    }

    /// The body of the answer.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}
