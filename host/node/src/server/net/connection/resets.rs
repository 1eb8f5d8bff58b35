//! Counting requests that a client resets before they are begun (CVE-2023-44487).
//!
//! Such a request costs its client a few bytes, and never counts among those that a connection may
//! have at a time. One that has been begun does count until it is reset, so clients that give up
//! waiting are not counted here.
//!
//! This reads the headers of HTTP/2's frames as they pass, and nothing else of them: whether they
//! are valid is for HTTP/2 to say.

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;
/// Resets that are let through at once, fewer than HTTP/2 takes for an attack.
pub(super) const AT_ONCE: usize = 16;

/// Types of frames.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// The resets of one connection.
#[derive(Debug)]
pub(super) struct Resets {
    /// Bytes that pass before the next header.
    payload: usize,
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have passed.
    passed: usize,
    /// The last stream whose request has passed.
    last: u32,
    /// The last stream whose request has been begun.
    begun: u32,
    /// Resets of requests that had not been begun.
    count: usize,
}

impl Resets {
    /// Frames begin after so many bytes.
    pub(super) fn after(bytes: usize) -> Self {
        Self { payload: bytes, header: [0; HEADER_BYTES], passed: 0, last: 0, begun: 0, count: 0 }
    }

    /// Lets bytes pass: all, or the first of them if they bring the last reset for now. Returns how
    /// many; one at least, if there is any.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.are_many() {
            let payload = self.payload.min(bytes.len() - at);
            self.payload -= payload;
            at += payload;
            let header = (HEADER_BYTES - self.passed).min(bytes.len() - at);
            self.header[self.passed..][..header].copy_from_slice(&bytes[at..][..header]);
            self.passed += header;
            at += header;
            if self.passed == HEADER_BYTES {
                self.passed = 0;
                self.frame();
            }
        }
        at
    }

    fn frame(&mut self) {
        let [high, middle, low, kind, _flags, stream @ ..] = self.header;
        self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
        let stream = u32::from_be_bytes(stream);
        match kind {
            HEADERS => self.last = self.last.max(stream),
            RST_STREAM if stream > self.begun => self.count += 1,
            _ => {}
        }
    }

    /// Whether there are as many as are let through at once; then counting begins again.
    pub(super) fn take_many(&mut self) -> bool {
        let many = self.are_many();
        if many {
            self.count = 0;
        }
        many
    }

    fn are_many(&self) -> bool {
        self.count >= AT_ONCE
    }

    /// All requests that have passed have been begun.
    pub(super) fn all_begun(&mut self) {
        self.begun = self.last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIORITY: u8 = 2;

    fn frame(kind: u8, stream: u32, payload: usize) -> Vec<u8> {
        let mut frame = vec![0, (payload >> 8) as u8, payload as u8, kind, 0];
        frame.extend(stream.to_be_bytes());
        // What looks like a reset within a payload is none.
        frame.extend([0, 0, 0, RST_STREAM, 0, 0x7f, 0, 0, 0].iter().cycle().take(payload));
        frame
    }

    fn reset_requests(streams: impl Iterator<Item = u32>) -> Vec<u8> {
        streams
            .flat_map(|stream| [frame(HEADERS, stream, 300), frame(RST_STREAM, stream, 4)].concat())
            .collect()
    }

    #[test]
    fn as_many_resets_as_may_be_at_once_pass_and_the_rest_after_them() {
        let bytes = [vec![0; 24], reset_requests(1..=40)].concat();
        let mut resets = Resets::after(24);
        let (mut at, mut pauses) = (0, 0);
        while at < bytes.len() {
            at += resets.pass(&bytes[at..]);
            pauses += usize::from(resets.take_many());
        }
        assert_eq!(pauses, 40 / AT_ONCE);
    }

    #[test]
    fn resets_are_found_however_the_bytes_are_cut() {
        let mut bytes = reset_requests(1..=AT_ONCE as u32);
        bytes.truncate(bytes.len() - 4);
        for length in 1..30 {
            let mut resets = Resets::after(0);
            for piece in bytes.chunks(length) {
                assert!(!resets.take_many());
                assert!(resets.pass(piece) > 0);
            }
            assert!(resets.take_many(), "in pieces of {length}");
        }
    }

    #[test]
    fn requests_that_have_been_begun_may_be_reset_and_other_frames_pass() {
        let mut resets = Resets::after(0);
        for stream in 1..100 {
            let request = frame(HEADERS, stream, 300);
            assert_eq!(resets.pass(&request), request.len());
            resets.all_begun();
            let rest = [frame(PRIORITY, stream, 5), frame(RST_STREAM, stream, 4)].concat();
            assert_eq!(resets.pass(&rest), rest.len());
            assert!(!resets.take_many());
        }
    }
}
