//! Unit tests of `calls`.
use super::*;

#[test]
fn slices_become_pointer_and_length() {
    let put = HOST_CALLS.iter().find(|call| call.name == "put").expect("put is in the table");
    assert_eq!(put.params, &[ValueKind::I32; 4]);
    assert_eq!(put.access, Access::Write);
}
