//! What all pages and sockets share, and the scope as JSON.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock};

use oneport::asgi::scope::{ASGI_VERSION, ServerAddress};
use oneport::http::target::query_value;
use oneport::{Headers, Scope, Stats};
use serde_json::{Value, json};

/// How many disconnects are remembered.
const DISCONNECTS: usize = 100;

/// What the lifespan sets at startup.
pub(crate) struct Started(pub(crate) bool);

/// One per process.
pub(crate) static SHARED: Shared = Shared {
    stats: OnceLock::new(),
    disconnects: Mutex::new(VecDeque::new()),
    state_requests: AtomicU64::new(0),
};

pub(crate) struct Shared {
    stats: OnceLock<Stats>,
    disconnects: Mutex<VecDeque<Value>>,
    pub(crate) state_requests: AtomicU64,
}

impl Shared {
    pub(crate) fn set_stats(&self, stats: Stats) {
        let _ = self.stats.set(stats);
    }

    pub(crate) fn disconnects(&self) -> Value {
        let disconnects = self.disconnects.lock().expect("nothing panics under this lock");
        Value::Array(disconnects.iter().cloned().collect())
    }

    pub(crate) fn stats(&self) -> Value {
        let Some(stats) = self.stats.get() else {
            return Value::Null;
        };
        json!({
            "connections": { "now": stats.connections(), "ever": stats.connections_ever() },
            "bytes_held": stats.bytes_held(),
            "closed": stats.closed(),
        })
    }
}

/// One scope's path and query, to be told in `/disconnects`; none, if there is no query and its
/// page knows the path: such a visit costs no allocation.
pub(crate) struct Visit(Option<Box<(String, String)>>);

impl Visit {
    /// `known` is the path, if the page knows it.
    #[inline]
    pub(crate) fn new(known: Option<&'static str>, scope: &Scope<'_>) -> Self {
        if known.is_some() && scope.query_string().is_empty() {
            return Self(None);
        }
        Self(Some(Box::new((scope.path().to_string(), latin1(scope.query_string())))))
    }

    pub(crate) fn record(
        &self,
        known: Option<&'static str>,
        kind: &str,
        code: Option<u16>,
        reason: &str,
    ) {
        match &self.0 {
            Some(told) => record(&told.0, &told.1, kind, code, reason),
            None => record(known.unwrap_or_default(), "", kind, code, reason),
        }
    }
}

/// Remembers a disconnect.
pub(crate) fn record(path: &str, query: &str, kind: &str, code: Option<u16>, reason: &str) {
    if path == "/disconnects" || path == "/stats" {
        return;
    }
    let entry =
        json!({ "path": path, "query": query, "type": kind, "code": code, "reason": reason });
    let mut disconnects = SHARED.disconnects.lock().expect("nothing panics under this lock");
    if disconnects.len() == DISCONNECTS {
        disconnects.pop_front();
    }
    disconnects.push_back(entry);
}

/// Bytes as text, each byte one character.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The value of a number in the query, or its default.
pub(crate) fn query_number(query: &[u8], name: &str, default: u64) -> u64 {
    query_value(query, name).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The scope as JSON, with ASGI's own key names.
pub(crate) fn scope_json(scope: &Scope<'_>) -> Value {
    let mut object = json!({
        "type": scope.kind(),
        "asgi": { "version": ASGI_VERSION, "spec_version": scope.spec_version() },
        "path": scope.path(),
        "query_string": latin1(scope.query_string()),
        "headers": headers_json(scope.headers()),
        "extensions": scope.extensions().iter().map(|name| (name.to_string(), json!({})))
            .collect::<serde_json::Map<_, _>>(),
    });
    let (http_version, scheme, raw_path, root_path, client, server, state) = match scope {
        Scope::Http(s) => {
            object["method"] = json!(s.method);
            (s.http_version, s.scheme, s.raw_path, s.root_path, s.client, s.server, s.state)
        }
        Scope::WebSocket(s) => {
            object["subprotocols"] = json!(s.subprotocols().collect::<Vec<_>>());
            (s.http_version, s.scheme, s.raw_path, s.root_path, s.client, s.server, s.state)
        }
        _ => return object,
    };
    object["http_version"] = json!(http_version);
    object["scheme"] = json!(scheme);
    object["raw_path"] = json!(latin1(raw_path));
    object["root_path"] = json!(root_path);
    object["client"] = json!(client.map(|c| json!([c.ip().to_string(), c.port()])));
    object["server"] = match server {
        Some(ServerAddress::Inet(s)) => json!([s.ip().to_string(), s.port()]),
        Some(ServerAddress::Unix(path)) => json!([path.display().to_string(), null]),
        _ => Value::Null,
    };
    let started = state.get::<Started>().is_some_and(|started| started.0);
    object["state"] = json!({ "started": started });
    object
}

fn headers_json(headers: Headers<'_>) -> Value {
    headers.iter().map(|(name, value)| json!([latin1(name), latin1(value)])).collect()
}

/// The folder that `/file` serves.
pub(crate) fn files() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/testbed_files"))
}

/// Makes `big.bin`, one MiB of zeros, if it is missing.
pub(crate) fn make_files() -> std::io::Result<()> {
    let big = files().join("big.bin");
    if big.metadata().is_ok_and(|file| file.len() == 1 << 20) {
        return Ok(());
    }
    // Under another name first: two testbeds may start at once.
    let partial = files().join(format!(".big.bin.{}", std::process::id()));
    std::fs::File::create(&partial)?.write_all(&vec![0; 1 << 20])?;
    std::fs::rename(partial, big)
}
