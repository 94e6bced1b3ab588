//! Our own client, in the hands of ../clients.py, where the language of both is described:
//! `interop_client URL OPTIONS`.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use oneport::Deflate;
use oneport::client::{Connect, Error, Message, WebSocket};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(options)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: interop_client URL OPTIONS");
        return ExitCode::from(2);
    };
    let options: Value = serde_json::from_str(&options).expect("options are JSON");
    let mut socket = match connect(&url, &options) {
        Ok(socket) => {
            // What the fields of the 101 were it does not tell.
            say(&json!({
                "fields": {}, "subprotocol": socket.subprotocol(),
                "compressed": socket.is_compressed(),
            }));
            Some(socket)
        }
        Err(Error::Refused(response)) => {
            let fields: serde_json::Map<_, _> = response
                .fields()
                .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value))))
                .collect();
            let body = BASE64_STANDARD.encode(response.body());
            say(&json!({ "status": response.status(), "fields": fields, "bytes": body }));
            None
        }
        Err(error) => {
            say(&json!({ "error": error.to_string() }));
            None
        }
    };
    for line in std::io::stdin().lock().lines() {
        let command = serde_json::from_str(&line.expect("lines of UTF-8")).expect("JSON");
        say(&obey(&mut socket, &command).unwrap_or_else(|error| told(&error)));
    }
    // Nobody has anything to ask any more.
    ExitCode::SUCCESS
}

fn say(what: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).expect("somebody listens");
}

fn connect(url: &str, options: &Value) -> Result<WebSocket, Error> {
    let limit = options["max_message"].as_u64().and_then(|bytes| bytes.try_into().ok());
    let mut connect = Connect::to(url)
        .connect_timeout(PATIENCE)
        .receive_timeout(PATIENCE)
        .max_message(limit.unwrap_or(usize::MAX))
        .ping_interval(Duration::ZERO);
    for name in options["subprotocols"].as_array().into_iter().flatten() {
        connect = connect.subprotocol(name.as_str().unwrap_or_default());
    }
    if let Some(origin) = options["origin"].as_str().filter(|origin| !origin.is_empty()) {
        connect = connect.origin(origin);
    }
    if let Some(wished) = options["deflate"].as_object() {
        let mut deflate = Deflate::default();
        if let Some(takeover) = wished.get("takeover").and_then(Value::as_bool) {
            deflate = deflate.takeover(takeover);
        }
        if let Some(bits) = wished.get("window_bits").and_then(Value::as_u64) {
            deflate = deflate.window_bits(bits.try_into().expect("bits"));
        }
        connect = connect.deflate(deflate);
    }
    connect.connect()
}

fn obey(socket: &mut Option<WebSocket>, command: &Value) -> Result<Value, Error> {
    let Some(open) = socket.as_mut() else {
        return Ok(json!({ "error": "it is not open" }));
    };
    let bytes = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap_or_default());
    match command["do"].as_str() {
        Some("send") => {
            match command["text"].as_str() {
                Some(text) => open.send(text)?,
                None => open.send(&*bytes(&command["bytes"]).expect("base64"))?,
            }
            Ok(json!({}))
        }
        Some("receive") => Ok(match open.receive()? {
            Message::Text(text) => json!({ "text": text }),
            Message::Binary(bytes) => json!({ "bytes": BASE64_STANDARD.encode(bytes) }),
        }),
        // It chooses the payload by itself, and compares what comes back.
        Some("ping") => open.ping(PATIENCE).map(|_| json!({ "bytes": command["bytes"] })),
        Some("close") => {
            let code = command["code"].as_u64().unwrap_or_default().try_into().unwrap_or_default();
            let reason = command["reason"].as_str().unwrap_or_default();
            // That it is fine says that the server answered.
            socket.take().expect("it is open").close(code, reason)?;
            Ok(json!({ "code": code, "reason": "" }))
        }
        _ => Ok(json!({ "error": format!("no such command: {command}") })),
    }
}

/// An end is an answer, whatever it was.
fn told(error: &Error) -> Value {
    match error {
        Error::Closed { code, reason } => json!({ "code": code, "reason": reason }),
        _ => match error.close_code() {
            Some(code) => json!({ "code": code, "reason": error.to_string() }),
            None => json!({ "error": error.to_string() }),
        },
    }
}
