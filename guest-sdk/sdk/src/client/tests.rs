//! Unit tests of `client`.
use super::*;

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
