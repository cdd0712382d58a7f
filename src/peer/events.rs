//! Server-sent events, as far as we need them: lines in, names of changed resources out.

/// An event's name and data, once its lines are complete.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    event: String,
    data: String,
}

/// A longer line is no event of ours; what is over is dropped.
const LONGEST: usize = 4096;

impl Events {
    /// Takes bytes as they come; calls `changed` for each `changed` event that they complete.
    pub(super) fn take(&mut self, bytes: &[u8], changed: &mut dyn FnMut(&str)) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(changed),
                b'\r' => {}
                _ if self.line.len() < LONGEST => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self, changed: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            if self.event == "changed" && !self.data.is_empty() {
                changed(&self.data);
            }
            *self = Events::default();
            return;
        }
        let Ok(line) = std::str::from_utf8(&line) else { return };
        match line.split_once(':').map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("event", value)) => value.clone_into(&mut self.event),
            Some(("data", value)) => value.clone_into(&mut self.data),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(pieces: &[&[u8]]) -> Vec<String> {
        let (mut events, mut heard) = (Events::default(), Vec::new());
        for piece in pieces {
            events.take(piece, &mut |name| heard.push(name.to_owned()));
        }
        heard
    }

    #[test]
    fn an_event_is_heard_however_its_bytes_are_cut() {
        let stream = b": keep\n\nevent: changed\ndata: team\n\nevent:changed\r\ndata:match\r\n\r\nevent: other\ndata: x\n\n";
        assert_eq!(heard(&[stream]), ["team", "match"]);
        for cut in 0..stream.len() {
            assert_eq!(heard(&[&stream[..cut], &stream[cut..]]), ["team", "match"], "{cut}");
        }
    }

    #[test]
    fn an_event_that_never_ends_is_not_heard_and_takes_no_memory() {
        let mut events = Events::default();
        for _ in 0..100 {
            events.take(&[b'x'; 10_000], &mut |_| panic!("nothing was complete"));
        }
        assert!(events.line.len() <= LONGEST);
        assert_eq!(heard(&[b"event: changed\ndata: team\n"]), Vec::<String>::new());
    }
}
