//! The client's program in README.md, as it is there.

use std::time::Duration;

use oneport::client::{self, Connect};

use crate::talk::echo_server;

#[rustfmt::skip]
#[allow(clippy::never_loop, reason = "it shows a loop")]
fn program(uri: &str) -> Result<(), client::Error> {
    let mut socket = Connect::to(uri).receive_timeout(Duration::from_secs(5)).connect()?;
    socket.send("hello")?;
    println!("{:?}, {:?} away", socket.receive()?, socket.ping(Duration::from_secs(5))?);
    socket.send("and again")?;
    for message in &mut socket {
        println!("{:?}", message?);
        break;
    }
    socket.close(1000, "done")
}

#[test]
fn the_program_of_the_readme_ends_well_against_an_echo_server() {
    let server = echo_server();
    program(&format!("ws://{}/", server.address)).unwrap();
    // What is above is what is there, but for the address.
    let readme = include_str!("../../README.md");
    let (_, shown) = readme.split_once("fn main() -> Result<(), client::Error> {\n").unwrap();
    let (shown, _) = shown.split_once("\n}\n").unwrap();
    let shown = shown.replace("\"ws://127.0.0.1:8765/\"", "uri");
    assert!(include_str!("readme.rs").contains(&shown), "{shown}");
}
