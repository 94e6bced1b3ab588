//! axum, on hyper, tokio and tungstenite.

use std::sync::Mutex;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use super::tokio_io::{self, All};

static ALL: All<Message> = Mutex::new(Vec::new());

fn data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

async fn plaintext() -> impl IntoResponse {
    ([("content-type", "text/plain")], "Hello, World!")
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| tokio_io::echo(socket, data))
}

async fn broadcast(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| tokio_io::broadcast(socket, &ALL, data))
}

pub(super) fn run(ready: super::Ready) {
    tokio_io::block_on(async {
        let app = Router::new()
            .route("/plaintext", get(plaintext))
            .route("/ws", get(echo))
            .route("/broadcast", get(broadcast));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
        ready(listener.local_addr().expect("it listens"));
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await.expect("it serves");
    });
}
