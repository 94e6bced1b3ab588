//! One program, most of what an app needs: a page, a form, a WebSocket, a group, a late answer.
//!
//! `cargo run --release --example counter`, then open http://127.0.0.1:8000/ in two tabs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use oneport::{Event, Handler, OriginPolicy, Scope, Server, app, boxed};

const PAGE: &str = r#"<!doctype html><title>Counter</title>
<h1 id="count">COUNT</h1><button onclick="socket.send('+')">+</button>
<form method="post" action="/reset"><button>Reset</button></form>
<script>
  const socket = new WebSocket(`ws://${location.host}/count`);
  socket.onmessage = (event) => count.textContent = event.data;
</script>"#;

fn main() -> Result<(), oneport::ServerError> {
    // RUST_LOG=debug shows every decision. A slow reader of the log does not delay clients.
    let logger = env_logger::Builder::from_default_env().build();
    let most = logger.filter();
    let _log = oneport::log_in_background(logger, most);
    let count = Arc::new(AtomicU64::new(0));
    let own_pages = OriginPolicy::same_host().or_missing();

    // Called once per request and WebSocket; what it returns lives as long as that.
    let app = app(move |scope| -> Option<Box<dyn Handler>> {
        let count = Arc::clone(&count);
        match scope {
            Scope::Http(http) => match (http.method, http.path) {
                ("GET" | "HEAD", "/") => Some(boxed(move |event, out| {
                    if let Event::HttpRequest { more_body: false, .. } = event {
                        let page = PAGE.replace("COUNT", &count.load(SeqCst).to_string());
                        out.respond(200, &[(b"content-type", b"text/html")], page)?;
                    }
                    Ok(())
                })),
                ("POST", "/reset") if own_pages.allows_http(http) => {
                    Some(boxed(move |event, out| {
                        if let Event::HttpRequest { more_body: false, .. } = event {
                            count.store(0, SeqCst);
                            out.publish("count", "0");
                            out.respond(303, &[(b"location", b"/")], "")?;
                        }
                        Ok(())
                    }))
                }
                ("GET", "/later") => Some(boxed(|event, out| {
                    if let Event::HttpRequest { more_body: false, .. } = event {
                        let handle = out.handle();
                        std::thread::spawn(move || {
                            std::thread::sleep(Duration::from_millis(200));
                            // An error says that the client has left: nothing to do.
                            let _ = handle.respond(200, &[], "later\n");
                        });
                    }
                    Ok(())
                })),
                _ => None, // 404, also for a form on the page of another site
            },
            Scope::WebSocket(ws) if ws.path == "/count" && own_pages.allows(ws) => {
                Some(boxed(move |event, out| {
                    match event {
                        Event::WebSocketConnect => {
                            out.accept()?;
                            out.join("count")?;
                            out.message(&count.load(SeqCst).to_string())?;
                        }
                        Event::WebSocketReceive(message) if message.as_text() == Some("+") => {
                            let count = count.fetch_add(1, SeqCst) + 1;
                            out.publish("count", &count.to_string());
                        }
                        _ => {}
                    }
                    Ok(())
                }))
            }
            _ => None, // 404, for WebSockets too
        }
    });
    Server::new(app).bind("127.0.0.1:8000")?.run()
}
