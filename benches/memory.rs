//! Memory of many idle WebSockets: `cargo bench --bench memory -- 10000`.
//!
//! For compression off, on, and on with takeover: a server in a process of its own, so many
//! connections to it, on each one message of 1 KiB and its echo; what the process holds more than
//! before, per connection: opened, after the echo, and 15 s later, when compressors of a
//! connection's own are given back. Linux: it reads `/proc`. Both processes need that many open
//! files (`ulimit -n`).

#[path = "../tests/rig/mod.rs"]
mod rig;

mod again;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use oneport::{Deflate, Server};

use rig::{echo_app, frame, upgrade};

const SETTINGS: [&str; 3] = ["off", "on", "takeover"];

fn serve(setting: &str) {
    let server = Server::new(echo_app()).workers(1);
    let server = match setting {
        "on" => server.deflate(Deflate::default()),
        "takeover" => server.deflate(Deflate::default().takeover(true)),
        _ => server,
    };
    let bound = server.bind("127.0.0.1:0").expect("a free port can be had");
    println!("{}", bound.local_addr());
    bound.run().expect("it serves");
}

/// Bytes that a process holds in memory.
fn resident(process: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))
        .expect("this is Linux and the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024.0
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the server answers");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

fn read_frame(stream: &mut TcpStream) {
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).expect("the server answers");
    let len = match bytes[1] {
        126 => {
            let mut len = [0; 2];
            stream.read_exact(&mut len).expect("the server answers");
            u16::from_be_bytes(len).into()
        }
        len => usize::from(len),
    };
    bytes.resize(len, 0);
    stream.read_exact(&mut bytes).expect("the server answers");
}

fn measure(setting: &str, count: usize) {
    let (mut server, address) = again::serve(&["serve", setting]);

    let text: String = (0..)
        .flat_map(|i: u32| format!("{{\"id\":{i}}},").into_bytes())
        .map(char::from)
        .take(1024)
        .collect();
    let (message, mut request) = if setting == "off" {
        (frame(0x81, text.as_bytes()), upgrade("/"))
    } else {
        let mut packed = Vec::with_capacity(2048);
        let mut compress = Compress::new(Compression::new(1), false);
        compress.compress_vec(text.as_bytes(), &mut packed, FlushCompress::Sync).expect("room");
        packed.truncate(packed.len() - 4);
        (frame(0xc1, &packed), upgrade("/"))
    };
    if setting != "off" {
        request.truncate(request.len() - 2);
        request.extend_from_slice(b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    }
    let before = resident(&server);
    let mut streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("the server takes it");
            stream.write_all(&request).expect("the server takes it");
            read_head(&mut stream);
            stream
        })
        .collect();
    let per = |bytes: f64| (bytes - before) / count as f64 / 1024.0;
    let opened = per(resident(&server));
    for stream in &mut streams {
        stream.write_all(&message).expect("the server takes it");
        read_frame(stream);
    }
    let echoed = per(resident(&server));
    std::thread::sleep(Duration::from_secs(15));
    let later = per(resident(&server));
    println!(
        "deflate {setting:8}: {opened:7.2} KiB a connection opened, {echoed:7.2} KiB after an \
         echo of 1 KiB, {later:7.2} KiB 15 s later"
    );
    drop(streams);
    server.kill().expect("it is ours");
    server.wait().expect("it ends");
}

fn main() {
    // Cargo's own arguments (`--bench`) are not ours.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", setting] => serve(setting),
        [count] => {
            let count = count.parse().expect("a count");
            SETTINGS.iter().for_each(|setting| measure(setting, count));
        }
        _ => println!("memory: cargo bench --bench memory -- 10000"),
    }
}
