//! What a peer sent, safe to print.
//!
//! A terminal obeys control characters: ESC begins a sequence that can clear the screen, rename
//! the window or, in some terminals, type on the user's behalf. Nothing that a peer sent reaches
//! a terminal with one in it.

use std::fmt::Write;

use oneport::client::Message;

/// Characters of a text that a person is shown.
const LONGEST_TEXT: usize = 16 * 1024;
/// Bytes of a binary message that a person is shown.
const LONGEST_DUMP: usize = 128;

/// Characters that are not seen and yet do something, in order: those of the general category Cf
/// (format: they turn the direction of writing, join, tag, annotate), of the property
/// Default_Ignorable_Code_Point (they are shown as nothing, so that a text can look like another one
/// or carry a hidden one), and the separators of lines and paragraphs.
const UNSEEN: [(char, char); 25] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Does this character act instead of being shown? Control characters (C0, DEL, C1) do, and those
/// that nobody sees.
fn acts(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|&(first, last)| (first..=last).contains(&c))
}

/// Appends a character; one that acts as its escape, such as `\u{1b}`.
fn push(out: &mut String, c: char) {
    if acts(c) { out.extend(c.escape_default()) } else { out.push(c) }
}

/// A text in one line: line breaks are escaped, too.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// A text with its line breaks and tabs; the lines that follow the first are indented by this
/// much, so that none of them can look like a message of its own.
pub(crate) fn text(text: &str, indent: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => {
                out.push('\n');
                out.push_str(indent);
            }
            '\t' => out.push('\t'),
            c => push(&mut out, c),
        }
    }
    out
}

/// A message for a person: `< ` and the text, or a hex dump. Ends with a line break.
pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::Text(long) if long.chars().nth(LONGEST_TEXT).is_some() => {
            let begin: String = long.chars().take(LONGEST_TEXT).collect();
            format!("< {}\n  ... {} bytes in all\n", text(&begin, "  "), long.len())
        }
        Message::Text(whole) => format!("< {}\n", text(whole, "  ")),
        Message::Binary(bytes) => {
            let mut out = format!("< binary, {}\n", count(bytes.len(), "byte"));
            for (row, part) in bytes[..bytes.len().min(LONGEST_DUMP)].chunks(16).enumerate() {
                let shown: String = part
                    .iter()
                    .map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' })
                    .collect();
                let hex: Vec<_> = part.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = writeln!(out, "  {:04x}  {:47}  {shown}", row * 16, hex.join(" "));
            }
            if bytes.len() > LONGEST_DUMP {
                let _ = writeln!(out, "  ... {} more", count(bytes.len() - LONGEST_DUMP, "byte"));
            }
            out
        }
    }
}

/// `1 byte`, `2 bytes`, `1,234,567 bytes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number as u64), if number == 1 { "" } else { "s" })
}

/// A number with commas.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Hexadecimal digits as bytes; white space between them is passed over.
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let value = |c: char| {
        let digit = c.to_digit(16).ok_or_else(|| format!("{c:?} is not a hexadecimal digit"))?;
        Ok::<_, String>(digit as u8)
    };
    if !digits.len().is_multiple_of(2) {
        return Err("a byte has two hexadecimal digits: one is left over".to_string());
    }
    digits.chunks(2).map(|pair| Ok(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_is_printed() {
        assert_eq!(line("a\u{1b}[2J\u{7}\u{9b}b\r\n\u{202e}c"), {
            r"a\u{1b}[2J\u{7}\u{9b}b\r\n\u{202e}c"
        });
        // A tag, a byte order mark, a space of no width: nobody would see them.
        assert_eq!(line("a\u{200b}\u{feff}\u{e0041}b\u{ad}c\u{fe0f}"), {
            r"a\u{200b}\u{feff}\u{e0041}b\u{ad}c\u{fe0f}"
        });
        assert!(UNSEEN.is_sorted() && UNSEEN.iter().all(|(first, last)| first <= last));
        assert_eq!(text("{\n\t1\r\n}", "  "), "{\n  \t1\\r\n  }");
        assert_eq!(line("Grüße \u{1f980}"), "Grüße \u{1f980}");
        for c in (0..0x3000).filter_map(char::from_u32).filter(|&c| c.is_control()) {
            let shown = message(&Message::Text(c.to_string()));
            let rest = shown.strip_prefix("< ").unwrap().trim_end_matches(['\n', ' ']);
            assert!(rest.is_empty() || rest == "\t" || rest.starts_with('\\'), "{c:?}: {shown:?}");
        }
    }

    #[test]
    fn binary_messages_are_dumped_and_shortened() {
        let dump = message(&Message::Binary(b"\x00\x1bHello, dump and".to_vec()));
        assert_eq!(
            dump,
            "< binary, 17 bytes\n  \
             0000  00 1b 48 65 6c 6c 6f 2c 20 64 75 6d 70 20 61 6e  ..Hello, dump an\n  \
             0010  64                                               d\n"
        );
        let long = message(&Message::Binary(vec![0; 1_000_128]));
        assert!(long.ends_with("  ... 1,000,000 bytes more\n"), "{long}");
        assert_eq!(long.lines().count(), 10);
        assert_eq!(message(&Message::Binary(Vec::new())), "< binary, 0 bytes\n");
        assert!(message(&Message::Text("x".repeat(20_000))).ends_with("20000 bytes in all\n"));
    }

    #[test]
    fn hexadecimal_both_ways() {
        assert_eq!(from_hex("00 fF10\t7f"), Ok(vec![0, 255, 16, 127]));
        assert_eq!(hex(&[0, 255, 16, 127]), "00ff107f");
        assert!(from_hex("0").is_err() && from_hex("0g").is_err() && from_hex("ää").is_err());
    }

    #[test]
    fn commas() {
        let rows = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, shown) in rows {
            assert_eq!(thousands(number), shown);
        }
    }
}
