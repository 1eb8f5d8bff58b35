//! Each flow does to bytes and connections what it says, and nothing to the other direction.
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;
use crate::cluster::{PATIENCE, free_addresses};
use crate::wait::until;

const CALLER: End = End::Member(1);
const CALLED: End = End::Member(0);

/// A network of two members: this process, and a server that sends back what it gets and at its end
/// says how much that was.
struct Stage {
    network: Arc<Network>,
    address: String,
    _proxy: Proxy,
}

impl Stage {
    fn new() -> Self {
        let [address, target] = free_addresses(2).try_into().expect("as many as were asked for");
        let network = Network::new(2, 7);
        network.set_process(1, Some(std::process::id()));
        let server = std::net::TcpListener::bind(&target).expect("the address is free");
        server.set_nonblocking(true).expect("a socket need not block");
        let server = TcpListener::from_std(server).expect("a runtime runs");
        tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        let _proxy = Proxy::start(&network, 0, &address, &target);
        Self { network, address, _proxy }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.expect("the proxy listens")
    }

    /// A connection that has carried something.
    async fn connected(&self) -> TcpStream {
        let mut stream = self.connect().await;
        assert_eq!(talk(&mut stream, b"hello").await.expect("it is carried"), b"hello");
        stream
    }

    async fn until(&self, toll: Toll) {
        until("it to take effect", PATIENCE, || async { (self.network.tolls().of(toll) > 0).then_some(()) })
            .await;
    }
}

async fn echo(mut stream: TcpStream) {
    let (mut bytes, mut count) = (vec![0; 4_096], 0_u64);
    while let Ok(length) = stream.read(&mut bytes).await {
        count += length as u64;
        if length == 0 {
            let _gone = stream.write_all(format!("end {count}").as_bytes()).await;
            return;
        }
        if stream.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// Sends, and returns as many bytes as come back.
async fn talk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut back)).await.expect("an answer in time")?;
    Ok(back)
}

async fn ends(stream: &mut TcpStream) {
    let mut bytes = [0; 64];
    let ended = async { while matches!(stream.read(&mut bytes).await, Ok(1..)) {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the connection ends in time");
}

#[tokio::test]
async fn what_is_swallowed_never_arrives_and_the_connection_is_reset_afterwards() {
    let stage = Stage::new();
    let mut stream = stage.connected().await;
    stage.network.set(CALLER, CALLED, Flow::Swallowed);
    stream.write_all(b"lost").await.expect("it is taken");
    stage.until(Toll::Swallowed).await;
    assert_eq!(stage.network.tolls().of(Toll::Swallowed), 4);
    stage.network.open_all();
    ends(&mut stream).await;
    stage.connected().await;
}

#[tokio::test]
async fn what_is_held_arrives_afterwards() {
    let stage = Stage::new();
    let mut stream = stage.connected().await;
    stage.network.set(CALLED, CALLER, Flow::Held);
    stage.until(Toll::Held).await;
    stream.write_all(b"kept").await.expect("it is taken");
    stage.network.open_peers();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.expect("it arrives");
    assert_eq!(&back, b"kept");
}

#[tokio::test]
async fn bits_are_flipped_and_no_byte_is_lost() {
    let stage = Stage::new();
    let mut stream = stage.connected().await;
    stage.network.set(CALLER, CALLED, Flow::Garbled { one_in_bytes: 100 });
    let back = talk(&mut stream, &[0; 4_000]).await.expect("it is carried");
    let flipped: u32 = back.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(u64::from(flipped), stage.network.tolls().of(Toll::Flipped));
    assert!((10..200).contains(&flipped), "{flipped} of 4,000 bytes");
}

#[tokio::test]
async fn what_comes_late_or_little_at_a_time_comes_in_order_and_not_before() {
    let flows = [Flow::Late { delay_ms: 80, jitter_ms: 20 }, Flow::Narrow { bytes_per_second: 12_000 }];
    for flow in flows {
        let stage = Stage::new();
        let mut stream = stage.connected().await;
        stage.network.set(CALLER, CALLED, flow);
        let bytes: Vec<u8> = (0..1_200).map(|n| n as u8).collect();
        let began = Instant::now();
        assert_eq!(talk(&mut stream, &bytes).await.expect("it is carried"), bytes);
        assert!(began.elapsed() >= Duration::from_millis(80), "{flow:?}: after {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn connections_of_the_one_end_are_cut_and_those_of_the_other_live() {
    let stage = Stage::new();
    let mut stream = stage.connected().await;
    stage.network.set(CALLED, CALLER, Flow::Cut);
    assert_eq!(talk(&mut stream, b"hello").await.expect("it lives"), b"hello");
    stage.network.set(CALLER, CALLED, Flow::Cut);
    ends(&mut stream).await;
    ends(&mut stage.connect().await).await;
    stage.network.set(CALLER, CALLED, Flow::Open);
    stage.connected().await;
}

#[tokio::test]
async fn a_flaky_link_ends_connections_and_takes_new_ones() {
    let stage = Stage::new();
    stage.network.set(CALLER, CALLED, Flow::Flaky { lives_ms: 50 });
    for _ in 0..3 {
        ends(&mut stage.connect().await).await;
    }
    stage.until(Toll::Reset).await;
}

#[tokio::test]
async fn a_direction_that_is_closed_leaves_the_other_one() {
    let stage = Stage::new();
    let mut stream = stage.connected().await;
    stage.network.set(CALLER, CALLED, Flow::HalfClosed);
    let mut last = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut last));
    read.await.expect("the server's last word comes in time").expect("it is carried");
    assert_eq!(last, "end 5");
}

#[tokio::test]
async fn who_is_no_member_is_a_client() {
    let stage = Stage::new();
    stage.network.set_process(1, None);
    stage.network.set(CALLER, CALLED, Flow::Cut);
    let mut stream = stage.connected().await;
    stage.network.set(End::Clients, CALLED, Flow::Cut);
    ends(&mut stream).await;
    stage.network.open_clients();
    stage.connected().await;
}
