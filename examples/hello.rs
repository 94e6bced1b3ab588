//! The smallest server: `cargo run --release --example hello`, then `curl http://127.0.0.1:8000/`.

use oneport::{Event, Server, app, handler};

fn main() -> Result<(), oneport::ServerError> {
    let hello = app(|_scope| {
        Some(handler(|event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                out.respond(200, &[(b"content-type", b"text/plain")], b"Hello, World!\n")?;
            }
            Ok(())
        }))
    });
    Server::new(hello).bind("127.0.0.1:8000")?.run()
}
