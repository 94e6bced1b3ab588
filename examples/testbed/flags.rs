//! The command line: `--name VALUE`, each with a default.

use std::time::Duration;

use oneport::{App, Deflate, Server};

/// Flags whose feature is not built yet.
const LATER: [&str; 4] = ["--tls", "--uds", "--redis", "--access-log"];

const HELP: &str = "usage: testbed [--host H] [--port P] [--workers N] [--max-connections N] \
[--max-head BYTES] [--max-body BYTES] [--max-message BYTES] [--head-timeout S] [--idle-timeout S] \
[--body-timeout S] [--min-body-rate BYTES] [--response-timeout S] [--half-close] [--write-timeout S] [--ping-interval S] \
[--ping-timeout S] [--close-timeout S] [--drain-timeout S] [--deflate[=takeover]]";

pub(crate) struct Flags {
    host: String,
    port: u16,
    workers: usize,
    deflate: Option<Deflate>,
    half_close: bool,
    max_connections: Option<usize>,
    max_head: Option<usize>,
    max_body: Option<u64>,
    max_message: Option<usize>,
    min_body_rate: Option<u64>,
    head_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    body_timeout: Option<Duration>,
    response_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
    close_timeout: Option<Duration>,
    drain_timeout: Option<Duration>,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_string(),
            port: 8000,
            workers: 1,
            deflate: None,
            half_close: false,
            max_connections: None,
            max_head: None,
            max_body: None,
            max_message: None,
            min_body_rate: None,
            head_timeout: None,
            idle_timeout: None,
            body_timeout: None,
            response_timeout: None,
            write_timeout: None,
            ping_interval: None,
            ping_timeout: None,
            close_timeout: None,
            drain_timeout: None,
        }
    }
}

/// Reads the flags; an error is one line that says which one is wrong and why.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut args = args;
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_string(), Some(value.to_string())),
            None => (arg, None),
        };
        if LATER.contains(&name.as_str()) {
            return Err(format!("{name} is not built yet"));
        }
        if name == "--help" || name == "-h" {
            return Err(HELP.to_string());
        }
        if name == "--deflate" {
            flags.deflate = Some(deflate(inline.as_deref())?);
            continue;
        }
        if name == "--half-close" && inline.is_none() {
            flags.half_close = true;
            continue;
        }
        let mut value = || {
            inline.clone().or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "--host" => flags.host = value()?,
            "--port" => flags.port = number(&name, &value()?)?,
            "--workers" => flags.workers = number(&name, &value()?)?,
            "--max-connections" => flags.max_connections = Some(number(&name, &value()?)?),
            "--max-head" => flags.max_head = Some(number(&name, &value()?)?),
            "--max-body" => flags.max_body = Some(number(&name, &value()?)?),
            "--max-message" => flags.max_message = Some(number(&name, &value()?)?),
            "--min-body-rate" => flags.min_body_rate = Some(number(&name, &value()?)?),
            "--head-timeout" => flags.head_timeout = Some(seconds(&name, &value()?)?),
            "--idle-timeout" => flags.idle_timeout = Some(seconds(&name, &value()?)?),
            "--body-timeout" => flags.body_timeout = Some(seconds(&name, &value()?)?),
            "--response-timeout" => flags.response_timeout = Some(seconds(&name, &value()?)?),
            "--write-timeout" => flags.write_timeout = Some(seconds(&name, &value()?)?),
            "--ping-interval" => flags.ping_interval = Some(seconds(&name, &value()?)?),
            "--ping-timeout" => flags.ping_timeout = Some(seconds(&name, &value()?)?),
            "--close-timeout" => flags.close_timeout = Some(seconds(&name, &value()?)?),
            "--drain-timeout" => flags.drain_timeout = Some(seconds(&name, &value()?)?),
            _ => return Err(format!("unknown flag {name}; {HELP}")),
        }
    }
    if flags.workers == 0 {
        return Err("--workers must be at least 1".to_string());
    }
    Ok(flags)
}

fn deflate(how: Option<&str>) -> Result<Deflate, String> {
    if !cfg!(feature = "deflate") {
        return Err("--deflate needs a build with the feature `deflate`".to_string());
    }
    match how {
        None => Ok(Deflate::default()),
        Some("takeover") => Ok(Deflate::default().takeover(true)),
        Some(other) => Err(format!("--deflate takes no value or =takeover, not {other:?}")),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} takes a whole number, not {value:?}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let seconds: f64 =
        value.parse().map_err(|_| format!("{name} takes a number of seconds, not {value:?}"))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{name} takes a number of seconds of at least 0, not {value:?}"))
}

impl Flags {
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Each flag is a builder method of the same name.
    pub(crate) fn configure<A: App>(&self, mut server: Server<A>) -> Server<A> {
        server = server.workers(self.workers).half_close(self.half_close);
        #[cfg(feature = "deflate")]
        if let Some(deflate) = self.deflate {
            server = server.deflate(deflate);
        }
        macro_rules! set {
            ($($flag:ident)*) => {$(
                if let Some(value) = self.$flag {
                    server = server.$flag(value);
                }
            )*};
        }
        set!(max_connections max_head max_body max_message min_body_rate);
        set!(head_timeout idle_timeout body_timeout response_timeout write_timeout);
        set!(ping_interval ping_timeout close_timeout drain_timeout);
        server
    }
}
