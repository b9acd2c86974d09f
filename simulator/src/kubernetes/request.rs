//! What a request asks for, read from its method, path and query.

use http::Method;

use super::{
    refusal::Refusal,
    resource::{self, Resource},
    store::Key,
};

/// What is asked for, in the words of role rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes of many objects.
    Watch,
    /// POST of an object.
    Create,
    /// PUT of an object.
    Update,
    /// PATCH of an object.
    Patch,
    /// DELETE of one object or of many.
    Delete,
    /// A command in a container: GET or POST of `pods/exec`.
    Exec,
}

impl Verb {
    /// Whether it changes something.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A request for objects.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) resource: &'static Resource,
    /// None: of all namespaces.
    pub(super) namespace: Option<String>,
    /// Empty for lists and creations.
    pub(super) name: String,
    /// `status`, `scale`, `exec`; empty for the object itself.
    pub(super) sub: String,
}

impl Route {
    pub(super) fn key(&self) -> Key {
        Key::new(self.resource, self.namespace.as_deref().unwrap_or_default(), &self.name)
    }

    /// Plural and subresource as role rules write them: `statefulsets/scale`.
    pub(super) fn path(&self) -> String {
        if self.sub.is_empty() {
            self.resource.plural.to_owned()
        } else {
            format!("{}/{}", self.resource.plural, self.sub)
        }
    }

    /// Reads a path below `/api/v1` or `/apis/<group>/<version>`.
    pub(super) fn parse(method: &Method, path: &str, query: &Query) -> Result<Self, Refusal> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Refusal::no_such_path()),
        };
        let (namespace, rest) = match rest {
            // `/namespaces/<name>` alone is the namespace itself.
            ["namespaces", namespace, plural, rest @ ..] => (Some(*namespace), (*plural, rest)),
            [plural, rest @ ..] => (None, (*plural, rest)),
            [] => return Err(Refusal::no_such_path()),
        };
        let (plural, rest) = rest;
        let resource = resource::at(group, version, plural).ok_or_else(Refusal::no_such_path)?;
        let (name, sub) = match rest {
            [] => ("", ""),
            [name] => (*name, ""),
            [name, sub] => (*name, *sub),
            _ => return Err(Refusal::no_such_path()),
        };
        let known = match sub {
            "" => true,
            "status" => resource.status,
            "scale" => resource.scale,
            "exec" => resource.id == "pods",
            _ => false,
        };
        if !known || (resource.namespaced && namespace.is_none() && !name.is_empty()) {
            return Err(Refusal::no_such_path());
        }
        let verb = verb(method, name, sub, query).ok_or_else(method_not_allowed)?;
        let (namespace, name, sub) = (namespace.map(str::to_owned), name.to_owned(), sub.to_owned());
        Ok(Self { verb, resource, namespace, name, sub })
    }
}

fn method_not_allowed() -> Refusal {
    let message = "the server does not allow this method on the requested resource";
    Refusal::new(405, "MethodNotAllowed", message)
}

fn verb(method: &Method, name: &str, sub: &str, query: &Query) -> Option<Verb> {
    let named = !name.is_empty();
    match method.as_str() {
        "GET" | "POST" if sub == "exec" => Some(Verb::Exec),
        "GET" if query.flag("watch") && sub.is_empty() => Some(Verb::Watch),
        "GET" if named => Some(Verb::Get),
        "GET" => Some(Verb::List),
        "POST" if !named => Some(Verb::Create),
        "PUT" if named => Some(Verb::Update),
        "PATCH" if named => Some(Verb::Patch),
        "DELETE" if sub.is_empty() => Some(Verb::Delete),
        _ => None,
    }
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every value of a parameter, in order.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path: &str, query: &str) -> Result<(Verb, String, String), u16> {
        let route = Route::parse(&Method::from_bytes(method.as_bytes()).unwrap(), path, &Query::parse(query));
        route.map(|r| (r.verb, r.path(), r.name)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn reads_paths_as_the_api_has_them() {
        let apps = "/apis/apps/v1/namespaces/ns/statefulsets";
        let ok = |verb, path: &str, name: &str| Ok((verb, path.to_owned(), name.to_owned()));
        assert_eq!(parse("GET", "/api/v1/pods", ""), ok(Verb::List, "pods", ""));
        assert_eq!(parse("GET", "/api/v1/pods", "watch=true"), ok(Verb::Watch, "pods", ""));
        assert_eq!(parse("GET", "/api/v1/namespaces/a", ""), ok(Verb::Get, "namespaces", "a"));
        assert_eq!(
            parse("PATCH", &format!("{apps}/vmq/scale"), ""),
            ok(Verb::Patch, "statefulsets/scale", "vmq")
        );
        assert_eq!(
            parse("GET", "/api/v1/namespaces/a/pods/p/exec", "command=x"),
            ok(Verb::Exec, "pods/exec", "p")
        );
        assert_eq!(parse("POST", apps, ""), ok(Verb::Create, "statefulsets", ""));
    }

    #[test]
    fn refuses_what_no_server_has() {
        assert_eq!(parse("GET", "/api/v1/pods/p", ""), Err(404), "a name needs its namespace");
        assert_eq!(parse("GET", "/api/v1/namespaces/a/secrets/p/status", ""), Err(404));
        assert_eq!(parse("GET", "/apis/apps/v1beta1/statefulsets", ""), Err(404));
        assert_eq!(parse("PUT", "/api/v1/namespaces/a/pods", ""), Err(405));
    }
}
