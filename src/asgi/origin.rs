//! Which pages may open a WebSocket (RFC 6455 §10.2).
//!
//! A browser lets any page open a WebSocket to any server, with the user's cookies, and tells
//! the server only in the Origin field where the page came from. A server that trusts cookies
//! and does not look at it can be used by every page the user visits. Programs that are no
//! browsers send what they like, or nothing.

use super::scope::{HttpScope, WebSocketScope};
use crate::http::Headers;

type Predicate = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Which Origins may open a WebSocket, or send a request that changes something.
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
        // [6455-4.2.1-8] [6455-10.2-1]
        self.allows_from(scope.headers, scope.scheme == "wss")
    }

    /// May this page send this request? For requests that change something, which a browser sends
    /// with the user's cookies: it names the page in Origin for all methods but GET and HEAD, and
    /// for requests from other sites. A GET of one's own page has none: see
    /// [`OriginPolicy::or_missing`].
    ///
    /// ```
    /// use oneport::{Event, OriginPolicy, Scope, app, handler};
    ///
    /// let policy = OriginPolicy::same();
    /// let site = app(move |scope| {
    ///     let Scope::Http(http) = scope else { return None };
    ///     let forged = !matches!(http.method, "GET" | "HEAD") && !policy.allows_http(http);
    ///     Some(handler(move |event, out| {
    ///         if let Event::HttpRequest { more_body, .. } = event {
    ///             if forged {
    ///                 out.respond(403, &[], "not from there\n")?;
    ///             } else if !more_body {
    ///                 out.respond(200, &[], "done\n")?;
    ///             }
    ///         }
    ///         Ok(())
    ///     }))
    /// });
    /// # let _ = oneport::Server::new(site);
    /// ```
    pub fn allows_http(&self, scope: &HttpScope<'_>) -> bool {
        self.allows_from(scope.headers, scope.scheme == "https")
    }

    fn allows_from(&self, headers: Headers<'_>, secure: bool) -> bool {
        let mut origins = headers.get_all("origin");
        let (origin, second) = (origins.next(), origins.next());
        let Some(origin) = origin else { return self.missing };
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let host = headers.get_str("host").unwrap_or_default();
        second.is_none()
            && match &self.rule {
                Rule::Same => is_same(origin, secure, host),
                Rule::SameHost => is_same(origin, false, host) || is_same(origin, true, host),
                Rule::List(list) => list.iter().any(|known| {
                    let (known, origin) = (Origin::of(known), Origin::of(origin));
                    known.is_some() && known == origin
                }),
                Rule::Predicate(allows) => allows(origin),
            }
    }
}

/// RFC 6454 §4: scheme, host and port. The scheme's own port is the same as none.
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: &'a str,
}

impl<'a> Origin<'a> {
    /// Of `scheme "://" host [ ":" port ]`; `None` for anything else, `null` among it.
    fn of(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        Some(Self::new(scheme, authority))
    }

    fn new(scheme: &'a str, authority: &'a str) -> Self {
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, ""),
        };
        let port = match (port, scheme) {
            ("", scheme) if scheme.eq_ignore_ascii_case("https") => "443",
            ("", scheme) if scheme.eq_ignore_ascii_case("http") => "80",
            (port, _) => port,
        };
        Self { scheme, host, port }
    }
}

/// RFC 6454 §5: two origins are the same if scheme, host and port are. §4: scheme and host are
/// compared in lower case.
impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }
}

/// Is this the origin of the server that the Host field names?
fn is_same(origin: &str, secure: bool, host: &str) -> bool {
    let ours = Origin::new(if secure { "https" } else { "http" }, host);
    !host.is_empty() && Origin::of(origin) == Some(ours)
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

    // RFC 6454 §4 and §5.
    #[test]
    fn the_port_of_the_scheme_is_the_same_as_none() {
        let fields = |host: &str, origin: &str| format!("Host: {host}\r\nOrigin: {origin}\r\n");
        let (same, host) = (OriginPolicy::same(), OriginPolicy::same_host());
        assert!(allows(&same, &fields("a.example:80", "http://a.example")));
        assert!(allows(&same, &fields("a.example", "http://a.example:80")));
        assert!(!allows(&same, &fields("a.example:443", "https://a.example")), "it came as ws");
        assert!(allows(&host, &fields("a.example:443", "https://a.example")));
        assert!(allows(&host, &fields("a.example", "https://a.example:443")));
        assert!(!allows(&host, &fields("a.example:80", "https://a.example")));
        assert!(!allows(&host, &fields("a.example:443", "http://a.example")));
        assert!(allows(&same, &fields("[::1]", "http://[::1]:80")));
        assert!(!allows(&same, &fields("[::1]:8000", "http://[::1]")));
        assert!(!allows(&same, &fields("a.example", "null")));
        let list = OriginPolicy::list(["https://a.example", "http://b.example:80"]);
        assert!(allows(&list, &fields("x", "https://a.example:443")));
        assert!(allows(&list, &fields("x", "http://b.example")));
        assert!(!allows(&list, &fields("x", "http://a.example:443")));
    }

    #[test]
    fn it_serves_http_too() {
        let with = |scheme, fields: &str| {
            let mut bytes = format!("POST / HTTP/1.1\r\n{fields}\r\n").into_bytes();
            let mut spans = Vec::new();
            parse(&mut bytes, &mut Progress::default(), &mut spans, Limits::default())
                .unwrap()
                .unwrap();
            OriginPolicy::same().allows_http(&HttpScope {
                http_version: "1.1",
                method: "POST",
                scheme,
                path: "/",
                raw_path: b"/",
                query_string: b"",
                root_path: "",
                headers: Headers::new(&bytes, &spans),
                client: None,
                server: None,
                state: &State::default(),
            })
        };
        assert!(with("http", "Host: a.example\r\nOrigin: http://a.example\r\n"));
        assert!(with("https", "Host: a.example\r\nOrigin: https://a.example:443\r\n"));
        assert!(!with("http", "Host: a.example\r\nOrigin: https://a.example\r\n"));
        assert!(!with("http", "Host: a.example\r\nOrigin: http://b.example\r\n"));
        assert!(!with("http", "Host: a.example\r\n"));
    }
}
