//! What a typed line means.

use oneport::client::Message;
use oneport::ws::close;

use crate::show;

/// What `/help` says.
pub(super) const HELP: &str = "\
TEXT                   sends a text message; //TEXT sends one that begins with /
/text [TEXT]           the same for any text, also an empty one
/binary HEX            sends a binary message: /binary 00 ff 10
/binary @FILE          sends the content of a file as a binary message
/ping                  sends a ping and shows the round-trip time
/close [CODE [REASON]] closes; 1000 unless a code is given
/help                  this
Ctrl-C or Ctrl-D closes with 1000.
";

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Nothing,
    Send(Message),
    Ping,
    Close(u16, String),
    Help,
}

/// Understands a line.
///
/// # Errors
/// What is wrong, for the person who typed it.
pub(super) fn parse(line: &str) -> Result<Line, String> {
    let text = |text: &str| Line::Send(Message::Text(text.to_string()));
    let Some(command) = line.strip_prefix('/') else {
        return Ok(if line.is_empty() { Line::Nothing } else { text(line) });
    };
    if command.starts_with('/') {
        return Ok(text(command));
    }
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let alone = |line| match rest.trim() {
        "" => Ok(line),
        _ => Err(format!("/{name} stands alone")),
    };
    match name {
        "text" => Ok(text(rest)),
        "binary" => binary(rest.trim()).map(|bytes| Line::Send(Message::Binary(bytes))),
        "ping" => alone(Line::Ping),
        "close" => closing(rest.trim()),
        "help" => alone(Line::Help),
        _ => Err(format!("there is no command /{name}; /help shows those there are")),
    }
}

fn binary(rest: &str) -> Result<Vec<u8>, String> {
    match rest.strip_prefix('@') {
        Some(path) => std::fs::read(path).map_err(|error| format!("{path}: {error}")),
        None => show::from_hex(rest),
    }
}

fn closing(rest: &str) -> Result<Line, String> {
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = match code {
        "" => close::NORMAL,
        code => code
            .parse()
            .ok()
            .filter(|&code| close::may_be_on_the_wire(code))
            .ok_or("a code is 1000, 3000 to 4999, or another one of RFC 6455 §7.4")?,
    };
    if reason.len() > close::MAX_REASON {
        return Err(format!("a reason has at most {} bytes", close::MAX_REASON));
    }
    Ok(Line::Close(code, reason.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_commands() {
        let text = |text: &str| Line::Send(Message::Text(text.to_string()));
        let binary = |bytes: &[u8]| Line::Send(Message::Binary(bytes.to_vec()));
        let close = |code, reason: &str| Line::Close(code, reason.to_string());
        let rows = [
            ("", Line::Nothing),
            ("hello", text("hello")),
            (" /ping", text(" /ping")),
            ("//ping", text("/ping")),
            ("///", text("//")),
            ("/text", text("")),
            ("/text  a ", text(" a ")),
            ("/binary 00 ff", binary(&[0, 255])),
            ("/binary", binary(&[])),
            ("/ping", Line::Ping),
            ("/ping ", Line::Ping),
            ("/help", Line::Help),
            ("/close", close(1000, "")),
            ("/close 4000", close(4000, "")),
            ("/close 1001 off we go", close(1001, "off we go")),
        ];
        for (line, meaning) in rows {
            assert_eq!(parse(line), Ok(meaning), "{line:?}");
        }
        for line in
            ["/", "/pong", "/ping me", "/binary 0", "/close 1005", "/close soon", "/close 0"]
        {
            assert!(parse(line).is_err(), "{line:?}");
        }
        assert!(parse(&format!("/close 1000 {}", "x".repeat(124))).is_err());
        assert!(parse("/binary @/no/such/file").unwrap_err().contains("/no/such/file"));
    }
}
