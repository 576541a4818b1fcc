//! What a container wrote: `GET /containers/ID/logs`.

use crate::{journal, lines};

/// The last `most` lines of a log, oldest first, with passwords masked.
///
/// Without a terminal the engine parts the two streams into frames: a header of 8 bytes (1 or 2 for the stream, three
/// zeros, the length as a big-endian number) and the text (Engine API 1.41, "Attach to a container", "Stream format").
/// With a terminal the text comes as it is.
///
/// ```
/// let framed = b"\x01\0\0\0\0\0\0\x09starting\n\x02\0\0\0\0\0\0\x06no db\n";
/// assert_eq!(unrefuse_parse::container::log_lines(framed, 1), ["no db"]);
/// assert_eq!(unrefuse_parse::container::log_lines(b"on a tty\r\n", 9), ["on a tty"]);
/// ```
pub fn log_lines(bytes: &[u8], most: usize) -> Vec<String> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((length, after)) = header(rest) {
        let (part, next) = after.split_at(length.min(after.len()));
        text.extend_from_slice(part);
        rest = next;
    }
    // What is no frame is text; after frames it is the rest of one that was cut.
    if text.is_empty() {
        text.extend_from_slice(rest);
    }
    let all: Vec<&[u8]> = lines::numbered(&text).map(|(_, line)| line).collect();
    let of_end = &all[all.len().saturating_sub(most)..];
    let lines = of_end.iter().map(|line| journal::clean(&unrefuse_facts::text::from_bytes(line)));
    lines.filter(|line| !line.is_empty()).collect()
}

fn header(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    match head {
        [0..=2, 0, 0, 0, length @ ..] => Some((u32::from_be_bytes(*length) as usize, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_cut_frames_and_garbage() {
        let framed = b"\x02\0\0\0\0\0\0\x20cannot open /etc/x password=abc\n\x01\0\0\0\0\0\0\x09start";
        assert_eq!(log_lines(framed, 20), ["cannot open /etc/x password=***", "start"]);
        assert_eq!(log_lines(b"\x01\0\0\0\xff\xff\xff\xffa\nb", 20), ["a", "b"]);
        assert_eq!(log_lines(b"\xff\n\n\x1b[31mred", 20), ["\\xff", "\x1b[31mred"]);
        assert!(log_lines(b"", 20).is_empty());
    }
}
