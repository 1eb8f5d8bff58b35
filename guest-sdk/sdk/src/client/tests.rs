//! Unit tests of `client`.
use super::*;
use synod_abi::{RawError, Revision, encode};

/// Answers with the second variant of an enum, whatever it is asked.
struct Newer;

impl Transport for Newer {
    fn call(&self, _: RawCall) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(Ok(RawReply { revision: Revision(7), result: encode(&1_u32) }))
    }

    fn query(&self, _: RawQuery) -> impl Future<Output = Result<RawReply, RawError>> + Send {
        std::future::ready(Ok(RawReply { revision: Revision(8), result: encode(&1_u32) }))
    }
}

/// What an old client knows of that enum.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
enum Old {
    Only,
}

#[test]
fn a_result_with_an_unknown_variant_is_said_to_be_applied_and_not_to_be_a_fault() {
    let client = ClientCore::new(&Newer, "s");
    let called: Result<Old, CallError<u8>> = block_on(client.call("do", 0, Vec::new()));
    assert_eq!(called, Err(CallError::Unreadable { revision: Revision(7) }));
    let asked: Result<Old, CallError<u8>> = block_on(client.query("ask", 0, Vec::new()));
    assert_eq!(asked, Err(CallError::Unreadable { revision: Revision(8) }));
    assert_eq!(result::<u32, u8>(block_on(Newer.query(raw())).expect("it answers")), Ok(1));
}

fn raw() -> RawQuery {
    RawQuery { space: "s".into(), query: "ask", signature: 0, args: Vec::new() }
}

#[test]
fn block_on_waits_for_another_thread() {
    let (send, receive) = std::sync::mpsc::channel::<Waker>();
    let woken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = woken.clone();
    let other = thread::spawn(move || {
        let waker = receive.recv().expect("the future sends its waker");
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
        waker.wake();
    });
    block_on(std::future::poll_fn(|cx| {
        if woken.load(std::sync::atomic::Ordering::SeqCst) {
            return Poll::Ready(());
        }
        let _ = send.send(cx.waker().clone());
        Poll::Pending
    }));
    other.join().expect("the other thread ends");
}
