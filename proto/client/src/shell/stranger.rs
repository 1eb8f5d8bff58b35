//! What listens at an address whose connection failed: HTTP/2 alone reports a wrong frame, which
//! tells nobody that they named a web server.
//!
//! It costs a connection of its own, so it is only done after a failure, and briefly.
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long looking may take: it delays the report of a failure.
const LOOK_TIMEOUT: Duration = Duration::from_millis(300);
/// The beginning of HTTP/2, with settings that change nothing.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Bytes of the header of a frame, which is the first that HTTP/2 answers.
const HEADER_BYTES: usize = 9;
/// Position of a frame's type in that header.
const TYPE_AT: usize = 3;
/// The type of the frame that HTTP/2 answers first.
const SETTINGS: u8 = 4;
/// The first bytes of a TLS alert.
const TLS_ALERT: &[u8] = &[0x15, 3];

/// What answers at `address`, unless that is HTTP/2, or nothing.
pub(super) async fn at(address: &str) -> Option<&'static str> {
    tokio::time::timeout(LOOK_TIMEOUT, look(address)).await.ok()?
}

async fn look(address: &str) -> Option<&'static str> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(GREETING).await.ok()?;
    let mut header = [0; HEADER_BYTES];
    let mut length = 0;
    while length < HEADER_BYTES {
        match stream.read(&mut header[length..]).await {
            Ok(bytes @ 1..) => length += bytes,
            Ok(0) | Err(_) => break,
        }
    }
    kind_of(&header[..length])
}

fn kind_of(answer: &[u8]) -> Option<&'static str> {
    if answer.is_empty() || answer.get(TYPE_AT) == Some(&SETTINGS) && answer.len() == HEADER_BYTES {
        return None;
    }
    Some(if answer.starts_with(b"HTTP/1") {
        "an HTTP/1 server answers there, not a Synod member"
    } else if answer.starts_with(b"SSH-") {
        "an SSH server answers there, not a Synod member"
    } else if answer.starts_with(TLS_ALERT) {
        "a TLS server answers there, and wants an encrypted connection"
    } else {
        "what answers there speaks no HTTP/2: it is not a Synod member"
    })
}

#[cfg(test)]
mod tests;
