//! A bench runs its server in a process of its own, to look at that process from outside.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// Runs this program again with these arguments; the process, and the address that it prints in its
/// first line.
pub(crate) fn serve(arguments: &[&str]) -> (Child, SocketAddr) {
    let itself = std::env::current_exe().expect("it runs");
    let mut server = Command::new(itself)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be run again");
    let mut address = String::new();
    BufReader::new(server.stdout.take().expect("it is piped"))
        .read_line(&mut address)
        .expect("the server tells its address");
    (server, address.trim().parse().expect("an address"))
}
