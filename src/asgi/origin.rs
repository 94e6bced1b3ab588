//! Which pages may open a WebSocket (RFC 6455 §10.2).
//!
//! A browser lets any page open a WebSocket to any server, with the user's cookies, and tells
//! the server only in the Origin field where the page came from. A server that trusts cookies
//! and does not look at it can be used by every page the user visits. Programs that are no
//! browsers send what they like, or nothing.

use super::scope::WebSocketScope;

type Predicate = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Which Origins may open a WebSocket.
///
/// ```
/// use oneport::{Event, OriginPolicy, Scope, Server, app, handler};
///
/// let policy = OriginPolicy::same();
/// let chat = app(move |scope| {
///     let Scope::WebSocket(websocket) = scope else { return None };
///     let allowed = policy.allows(websocket);
///     Some(handler(move |event, out| {
///         if let Event::WebSocketConnect = event {
///             if allowed { out.accept()?; } else { out.respond(403, &[], b"not from there\n")?; }
///         }
///         Ok(())
///     }))
/// });
/// # let _ = Server::new(chat);
/// ```
pub struct OriginPolicy {
    rule: Rule,
    missing: bool,
}

enum Rule {
    Same,
    SameHost,
    List(Vec<String>),
    Predicate(Predicate),
}

impl OriginPolicy {
    /// Pages of this very server: scheme and host of the Origin are those of the request.
    pub fn same() -> Self {
        Self { rule: Rule::Same, missing: false }
    }

    /// Pages of this host and port, of either scheme: for a server behind a proxy that ends TLS,
    /// where the Origin says `https` and the request that arrives here `http`.
    pub fn same_host() -> Self {
        Self { rule: Rule::SameHost, missing: false }
    }

    /// Pages of these Origins, as in `https://example.com` (scheme, host, port unless it is the
    /// scheme's own; no slash at the end).
    pub fn list<T: Into<String>>(origins: impl IntoIterator<Item = T>) -> Self {
        Self { rule: Rule::List(origins.into_iter().map(Into::into).collect()), missing: false }
    }

    /// Pages of Origins for which this says yes.
    pub fn predicate(allows: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Rule::Predicate(Box::new(allows)), missing: false }
    }

    /// Also clients that send no Origin: programs that are no browsers. Default no.
    #[must_use]
    pub fn or_missing(mut self) -> Self {
        self.missing = true;
        self
    }

    /// May this client open a WebSocket? Several Origin fields are never allowed.
    pub fn allows(&self, scope: &WebSocketScope<'_>) -> bool {
        let mut origins = scope.headers.get_all("origin");
        let (origin, second) = (origins.next(), origins.next());
        // [6455-4.2.1-8] [6455-10.2-1]
        let Some(origin) = origin else { return self.missing };
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        second.is_none()
            && match &self.rule {
                Rule::Same => {
                    let scheme = if scope.scheme == "wss" { "https://" } else { "http://" };
                    is_same(origin, scheme, scope)
                }
                Rule::SameHost => {
                    is_same(origin, "http://", scope) || is_same(origin, "https://", scope)
                }
                // RFC 6454 §4: scheme and host are compared in lower case.
                Rule::List(list) => list.iter().any(|known| known.eq_ignore_ascii_case(origin)),
                Rule::Predicate(allows) => allows(origin),
            }
    }
}

/// RFC 6454 §5: scheme, host and port are the same.
fn is_same(origin: &str, scheme: &str, scope: &WebSocketScope<'_>) -> bool {
    let Some(host) = scope.headers.get_str("host") else { return false };
    let Some((start, authority)) = origin.split_at_checked(scheme.len()) else { return false };
    start.eq_ignore_ascii_case(scheme) && authority.eq_ignore_ascii_case(host)
}

impl std::fmt::Debug for OriginPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rule: &dyn std::fmt::Debug = match &self.rule {
            Rule::Same => &"same",
            Rule::SameHost => &"same host",
            Rule::List(list) => list,
            Rule::Predicate(_) => &"predicate",
        };
        f.debug_struct("OriginPolicy").field("rule", rule).field("missing", &self.missing).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asgi::state::State;
    use crate::http::Headers;
    use crate::http::head::{Limits, Progress, parse};

    fn allows(policy: &OriginPolicy, fields: &str) -> bool {
        let mut bytes = format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes();
        let mut spans = Vec::new();
        parse(&mut bytes, &mut Progress::default(), &mut spans, Limits::default())
            .unwrap()
            .unwrap();
        policy.allows(&WebSocketScope {
            http_version: "1.1",
            scheme: "ws",
            path: "/",
            raw_path: b"/",
            query_string: b"",
            root_path: "",
            headers: Headers::new(&bytes, &spans),
            client: None,
            server: None,
            state: &State::default(),
        })
    }

    #[test]
    fn same_means_scheme_host_and_port() {
        let same = OriginPolicy::same();
        let with =
            |origin: &str| allows(&same, &format!("Host: a.example:8000\r\nOrigin: {origin}\r\n"));
        assert!(with("http://a.example:8000"));
        assert!(with("HTTP://A.example:8000"));
        for other in [
            "https://a.example:8000",
            "http://a.example",
            "http://a.example:80",
            "http://b.example:8000",
            "http://a.example:8000.evil",
            "http://xa.example:8000",
            "null",
            "",
        ] {
            assert!(!with(other), "{other}");
        }
        assert!(!allows(&same, "Host: a\r\n"));
        assert!(!allows(&same, "Host: a\r\nOrigin: http://a\r\nOrigin: http://a\r\n"));
        assert!(allows(&OriginPolicy::same().or_missing(), "Host: a\r\n"));
    }

    #[test]
    fn same_host_takes_either_scheme() {
        let policy = OriginPolicy::same_host();
        for (origin, expected) in [
            ("http://a:1", true),
            ("https://a:1", true),
            ("https://a", false),
            ("ftp://a:1", false),
        ] {
            assert_eq!(allows(&policy, &format!("Host: a:1\r\nOrigin: {origin}\r\n")), expected);
        }
    }

    #[test]
    fn lists_and_predicates() {
        let list = OriginPolicy::list(["https://a.example", "http://localhost:3000"]);
        assert!(allows(&list, "Host: x\r\nOrigin: http://localhost:3000\r\n"));
        assert!(!allows(&list, "Host: x\r\nOrigin: http://localhost:3001\r\n"));
        let predicate = OriginPolicy::predicate(|origin| origin.ends_with(".example"));
        assert!(allows(&predicate, "Host: x\r\nOrigin: https://b.example\r\n"));
        assert!(!allows(&predicate, "Host: x\r\nOrigin: https://b.example.evil\r\n"));
    }
}
