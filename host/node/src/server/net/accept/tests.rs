//! What a port takes, seen from the sockets of its clients.
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// How HTTP/2 begins, and the header of its first frame.
const BEGIN: &[u8; 33] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port of so many connections that serves by reading, and where it listens.
async fn port(connections_at_a_time: usize, begin: Duration) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("it has an address");
    let limits = Limits { begin, ..Limits::of(connections_at_a_time) };
    tokio::spawn(async move {
        let mut connections = Box::pin(connections(listener, "clients", limits, Port::clients()));
        while let Some(Ok(mut connection)) = connections.next().await {
            tokio::spawn(async move {
                let mut byte = [0];
                while connection.read(&mut byte).await.is_ok_and(|bytes| bytes > 0) {
                    if connection.write_all(&byte).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Whether the port serves a new connection, which is returned then.
async fn served(address: std::net::SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(&BEGIN[..1]).await.ok()?;
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("served or closed");
    read.is_ok_and(|bytes| bytes == 1).then_some(stream)
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once_and_its_place_is_free_when_another_ends() {
    let address = port(2, PATIENCE).await;
    let first = served(address).await.expect("there is a place");
    let _second = served(address).await.expect("there is a place");
    assert!(served(address).await.is_none());
    drop(first);
    let began = Instant::now();
    while served(address).await.is_none() {
        assert!(began.elapsed() < PATIENCE, "the place is not free again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_does_not_begin_in_time_is_closed() {
    let address = port(1, Duration::from_millis(50)).await;
    let mut slow = served(address).await.expect("there is a place");
    let mut byte = [0];
    let ended = tokio::time::timeout(PATIENCE, slow.read(&mut byte)).await.expect("it is closed");
    assert!(!ended.is_ok_and(|bytes| bytes > 0));
}

#[tokio::test]
async fn a_connection_that_has_begun_may_be_silent() {
    let begin = Duration::from_millis(200);
    let address = port(1, begin).await;
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(BEGIN).await.expect("it reads");
    let mut echo = [0; BEGIN.len()];
    stream.read_exact(&mut echo).await.expect("it answers");
    let mut byte = [0];
    assert!(tokio::time::timeout(2 * begin, stream.read(&mut byte)).await.is_err(), "it is still open");
    stream.write_all(b"x").await.expect("it reads");
    stream.read_exact(&mut byte).await.expect("it answers");
}

#[test]
fn only_what_concerns_one_connection_is_passed_over() {
    assert!(concerns_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    assert!(!concerns_one_connection(&io::Error::from_raw_os_error(libc::EMFILE)));
    assert!(!concerns_one_connection(&io::Error::from_raw_os_error(libc::ENFILE)));
}
