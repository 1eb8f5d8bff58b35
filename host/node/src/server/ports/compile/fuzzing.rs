//! Arbitrary bytes of the pipes between a member and its compiler, for [`crate::fuzzing`].
use synod_vm::compile::Code;

use super::wire::{Answer, Bounds, Order};

/// What comes out of a pipe, taken for an answer and for an order.
pub fn compiler_answer(bytes: &[u8]) {
    if let Some(answer) = Answer::decode(bytes) {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    let mut source = bytes;
    if let Ok(order) = Order::read(&mut source) {
        let read = &bytes[..bytes.len() - source.len()];
        assert_eq!(order.encode(), read, "an order has one encoding");
    }
}

/// Real answers, and a real order.
pub fn compiler_messages() -> Vec<Vec<u8>> {
    let code = Code { apply: b"machine code".to_vec(), query: b"more of it".to_vec() };
    let bounds = Bounds { memory_bytes: 1 << 30, cpu_seconds: 30, niceness: 10 };
    let order = Order { fingerprint: [3; 32], bounds, module: b"\0asm\x01\0\0\0".to_vec() };
    vec![
        Answer::Code { fingerprint: [3; 32], code }.encode(),
        Answer::Refused("it cannot be compiled".to_owned()).encode(),
        Answer::Unable("no memory".to_owned()).encode(),
        order.encode(),
    ]
}
