//! Oneport.

use oneport::{App, AppError, Event, Flow, Handler, Outbox, Scope};

struct Bench;

enum Answer {
    Plaintext,
    NotFound,
    Echo,
    Broadcast,
}

impl App for Bench {
    type Handler = Answer;

    fn call(&self, scope: &Scope<'_>) -> Option<Answer> {
        Some(match scope {
            Scope::Http(http) if http.path == "/plaintext" => Answer::Plaintext,
            Scope::Http(_) => Answer::NotFound,
            Scope::WebSocket(socket) if socket.path == "/ws" => Answer::Echo,
            Scope::WebSocket(socket) if socket.path == "/broadcast" => Answer::Broadcast,
            _ => return None,
        })
    }
}

impl Handler for Answer {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match (self, event) {
            (Answer::Plaintext, Event::HttpRequest { more_body: false, .. }) => {
                out.respond(200, &[(b"content-type", b"text/plain")], "Hello, World!")?;
            }
            (Answer::NotFound, Event::HttpRequest { more_body: false, .. }) => {
                out.respond(404, &[], "")?;
            }
            (Answer::Echo, Event::WebSocketConnect) => {
                out.accept()?;
            }
            (Answer::Echo, Event::WebSocketReceive(message)) => match out.message(message)? {
                Flow::Full => out.pause(),
                Flow::Ready => {}
            },
            (Answer::Echo, Event::Drain) => out.resume(),
            (Answer::Broadcast, Event::WebSocketConnect) => {
                out.accept()?;
                out.join("all")?;
            }
            (Answer::Broadcast, Event::WebSocketReceive(message)) => {
                out.publish("all", message);
            }
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn run(ready: super::Ready) {
    let bound = oneport::Server::new(Bench).bind("127.0.0.1:0").expect("a free port can be had");
    ready(bound.local_addr());
    bound.run().expect("it serves");
}
