//! A message that one owns.

use crate::ws;

/// A message that was received: text or binary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Message {
    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<ws::Message<'_>> for Message {
    fn from(message: ws::Message<'_>) -> Self {
        match message {
            ws::Message::Text(text) => Message::Text(text.to_string()),
            ws::Message::Binary(bytes) => Message::Binary(bytes.to_vec()),
        }
    }
}

impl<'a> From<&'a Message> for ws::Message<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => ws::Message::Text(text),
            Message::Binary(bytes) => ws::Message::Binary(bytes),
        }
    }
}

impl PartialEq<str> for Message {
    fn eq(&self, text: &str) -> bool {
        self.as_text() == Some(text)
    }
}

impl PartialEq<&str> for Message {
    fn eq(&self, text: &&str) -> bool {
        self.as_text() == Some(*text)
    }
}
