//! What HTTP/2 gets to read of what a client sends.
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::*;
use crate::server::net::metered::Port;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's side of a connection, and the member's.
async fn connected() -> (TcpStream, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("it has an address");
    let client = TcpStream::connect(address).await.expect("it listens");
    let (stream, _) = listener.accept().await.expect("a client has connected");
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("there is a place");
    (client, Connection::new(stream, place, PATIENCE, Port::clients().account()))
}

/// The beginning of HTTP/2 and requests that are reset.
fn resets(count: usize) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let mut bytes = [&PREFACE[..], &SETTINGS].concat();
    for n in 0..count {
        let stream = (2 * n + 1) as u8;
        bytes.extend([0, 0, 1, 1, 4, 0, 0, 0, stream, 0x82]);
        bytes.extend([0, 0, 4, 3, 0, 0, 0, 0, stream, 0, 0, 0, 8]);
    }
    bytes
}

#[tokio::test]
async fn a_client_that_does_not_speak_http2_is_not_read_and_closed_after_a_moment() {
    let (mut client, mut connection) = connected().await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("it is taken");
    let began = Instant::now();
    let mut read = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut read)).await.expect("it ends");
    assert_eq!(ended.expect_err("it is no HTTP/2").kind(), io::ErrorKind::InvalidData);
    assert!(began.elapsed() >= STRANGER_PAUSE);
    assert_eq!(read, b"");
}

#[tokio::test]
async fn requests_that_are_reset_before_they_are_begun_are_read_a_few_at_a_time_and_none_is_lost() {
    const COUNT: usize = 40;
    let (mut client, mut connection) = connected().await;
    let sent = resets(COUNT);
    client.write_all(&sent).await.expect("it is taken");
    let began = Instant::now();
    let mut read = vec![0; sent.len()];
    let first = connection.read(&mut read).await.expect("it is read");
    assert!(first <= resets(resets::AT_ONCE).len(), "{first} bytes are read at once");
    tokio::time::timeout(PATIENCE, connection.read_exact(&mut read[first..]))
        .await
        .expect("the rest is read")
        .expect("it is not closed");
    assert!(began.elapsed() >= RESETS_PAUSE * (COUNT / resets::AT_ONCE) as u32);
    assert_eq!(read, sent);
}

#[tokio::test]
async fn many_requests_that_are_reset_after_they_were_begun_are_read_at_once() {
    let (mut client, mut connection) = connected().await;
    let all = resets(100);
    let (begin, requests) = all.split_at(33);
    client.write_all(begin).await.expect("it is taken");
    connection.read_exact(&mut vec![0; begin.len()]).await.expect("it is read");
    for frame in requests.chunks(23).flat_map(|both| [&both[..10], &both[10..]]) {
        client.write_all(frame).await.expect("it is taken");
        connection.read_exact(&mut vec![0; frame.len()]).await.expect("it is read");
        let nothing_more = futures::poll!(connection.read_u8().boxed());
        assert!(nothing_more.is_pending());
        assert!(connection.pause.is_none());
    }
}
