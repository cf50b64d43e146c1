//! Reads server-sent events
//! ([standard](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)).
//!
//! Like OpenAI's SDKs, the reader is more lenient than the standard in two ways that servers rely
//! on. The blank line after the last event may be missing. If each event's data is one line of
//! JSON, blank lines between events may also be missing.

use serde::de::IgnoredAny;

/// The data of the event that ends a stream.
pub const DONE: &str = "[DONE]";

/// An event with data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's name. Empty if the event has no name.
    pub name: String,
    /// The event's data. Bytes that aren't UTF-8 are replaced by U+FFFD.
    pub data: String,
}

/// Reads events from pieces of a stream, no matter where the stream is split. The stream must not
/// begin with a byte order mark.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The beginning of the current line.
    line: Vec<u8>,
    /// True if the last byte was a carriage return. A line feed directly after it belongs to the
    /// same line ending.
    after_return: bool,
    name: String,
    data: Option<Data>,
}

/// The data lines of the current event.
#[derive(Debug)]
struct Data {
    text: String,
    lines: usize,
    /// The event's name when its data began.
    name: String,
}

impl EventReader {
    /// Reads a piece of the stream, and adds the events that it completes to `events`.
    pub fn push(&mut self, mut piece: &[u8], events: &mut Vec<Event>) {
        while let Some(&first) = piece.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                piece = piece.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line.extend_from_slice(piece);
                return;
            };
            let (line, rest) = piece.split_at(end);
            self.line.extend_from_slice(line);
            self.after_return = rest.first() == Some(&b'\r');
            self.end_line(events);
            piece = rest.get(1..).unwrap_or_default();
        }
    }

    /// Ends the stream. The blank line after the last event may be missing.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        if !self.line.is_empty() {
            self.end_line(events);
        }
        self.dispatch(events);
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.as_ref();
        if line.is_empty() {
            return self.dispatch(events);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.push_data(value, events),
            "event" => value.clone_into(&mut self.name),
            // Ignore comments, `id`, `retry`, and lines that only look like fields.
            _ => {}
        }
    }

    fn push_data(&mut self, value: &str, events: &mut Vec<Event>) {
        if let Some(whole) = self.data.take_if(|data| data.lines == 1 && is_whole(&data.text)) {
            events.push(Event { name: whole.name, data: whole.text });
        }
        match &mut self.data {
            Some(data) => {
                data.lines += 1;
                data.text.push('\n');
                data.text.push_str(value);
            }
            none => {
                *none = Some(Data { text: value.to_owned(), lines: 1, name: self.name.clone() });
            }
        }
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let name = std::mem::take(&mut self.name);
        if let Some(Data { text, .. }) = self.data.take() {
            events.push(Event { name, data: text });
        }
    }
}

/// Returns true if the data is complete, because it is a whole JSON value or the end marker.
/// Further lines can't belong to it.
fn is_whole(data: &str) -> bool {
    data.trim() == DONE || serde_json::from_str::<IgnoredAny>(data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a stream in pieces of `size` bytes, and returns its events as `name=data`.
    fn read(stream: &[u8], size: usize) -> Vec<String> {
        let (mut reader, mut events) = (EventReader::default(), Vec::new());
        stream.chunks(size).for_each(|piece| reader.push(piece, &mut events));
        reader.finish(&mut events);
        events.into_iter().map(|Event { name, data }| format!("{name}={data}")).collect()
    }

    #[test]
    fn events_are_read_by_the_standard_wherever_they_are_split() {
        for (stream, events) in [
            // The standard's own examples.
            ("data: YHOO\ndata: +2\ndata: 10\n\n", &["=YHOO\n+2\n10"][..]),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
                &["=first event", "=second event", "= third event"],
            ),
            ("data:test\n\ndata: test\n\n", &["=test", "=test"]),
            (
                "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
                &["add=73857293", "remove=2153"],
            ),
            // An event without data is ignored, and its name is dropped.
            ("event: error\n\ndata: a\n\n", &["=a"]),
            ("data\n\ndata\ndata\n\n", &["=", "=\n"]),
            // If an event contains two names, the last one counts.
            ("event: a\nevent: b\ndata: c\n\n", &["b=c"]),
            ("data: a\r\rdata: b\r\n\r\ndata: c\n\r", &["=a", "=b", "=c"]),
            ("retry: soon\nkeepalive\ndata: a\n\n", &["=a"]),
            ("", &[]),
            ("\n\n\r\n", &[]),
        ] {
            for size in 1..=stream.len().max(1) {
                assert_eq!(read(stream.as_bytes(), size), events, "{stream:?} by {size}");
            }
        }
        assert_eq!(read(b"data: \xf0\x9f!\n\n", 1), ["=\u{fffd}!"]);
    }

    #[test]
    fn blank_lines_may_be_missing() {
        for (stream, events) in [
            ("data: {}\n\ndata: {\"a\": 1}", &["={}", "={\"a\": 1}"][..]),
            ("data: {}\ndata: {\"a\": 1}\ndata: [DONE]\n", &["={}", "={\"a\": 1}", "=[DONE]"]),
            // The name after the first line belongs to the second event.
            ("data: {}\nevent: error\ndata: {\"a\": 1}\n\n", &["={}", "error={\"a\": 1}"]),
            // According to the standard, this is one event.
            ("data: {\ndata: \"a\": 1}\n\n", &["={\n\"a\": 1}"]),
        ] {
            for size in 1..=stream.len() {
                assert_eq!(read(stream.as_bytes(), size), events, "{stream:?} by {size}");
            }
        }
    }
}
