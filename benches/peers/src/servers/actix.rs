//! actix-web with actix-ws.

use std::cell::RefCell;
use std::collections::HashMap;

use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_ws::{Message, MessageStream, Session};

thread_local! {
    /// One worker is one thread.
    static ALL: RefCell<HashMap<u64, Session>> = RefCell::default();
}

async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("Hello, World!")
}

async fn echo(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (response, mut session, mut stream) = actix_ws::handle(&request, body)?;
    rt::spawn(async move {
        while let Some(Ok(message)) = stream.recv().await {
            let sent = match message {
                Message::Text(text) => session.text(text).await,
                Message::Binary(bytes) => session.binary(bytes).await,
                Message::Ping(bytes) => session.pong(&bytes).await,
                Message::Close(_) => return,
                _ => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

async fn to_all(mut stream: MessageStream) {
    while let Some(Ok(message)) = stream.recv().await {
        let sessions: Vec<Session> = ALL.with_borrow(|all| all.values().cloned().collect());
        match message {
            Message::Text(text) => {
                for mut session in sessions {
                    let _ = session.text(text.clone()).await;
                }
            }
            Message::Close(_) => return,
            _ => {}
        }
    }
}

async fn broadcast(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let id = ALL.with_borrow_mut(|all| {
        let id = all.keys().max().map_or(0, |last| last + 1);
        all.insert(id, session);
        id
    });
    rt::spawn(async move {
        to_all(stream).await;
        ALL.with_borrow_mut(|all| all.remove(&id));
    });
    Ok(response)
}

pub(super) fn run(ready: super::Ready) {
    rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new()
                .route("/plaintext", web::get().to(plaintext))
                .route("/ws", web::get().to(echo))
                .route("/broadcast", web::get().to(broadcast))
        });
        let server = server.workers(1).bind("127.0.0.1:0").expect("a free port can be had");
        ready(server.addrs()[0]);
        server.run().await.expect("it serves");
    });
}
