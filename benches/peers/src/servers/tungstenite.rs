//! tokio-tungstenite on bare tokio: WebSocket only.

use std::sync::Mutex;

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};

use super::tokio_io::{self, All};

static ALL: All<Message> = Mutex::new(Vec::new());

fn data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

/// Notes the path that is asked for.
struct Path<'a>(&'a mut String);

impl Callback for Path<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        *self.0 = request.uri().path().to_string();
        Ok(response)
    }
}

async fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut path = String::new();
    let Ok(socket) = accept_hdr_async(stream, Path(&mut path)).await else { return };
    if path == "/broadcast" {
        tokio_io::broadcast(socket, &ALL, data).await;
    } else {
        tokio_io::echo(socket, data).await;
    }
}

pub(super) fn run(ready: super::Ready) {
    tokio_io::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
        ready(listener.local_addr().expect("it listens"));
        loop {
            let (stream, _) = listener.accept().await.expect("descriptors are left");
            tokio::spawn(serve(stream));
        }
    });
}
