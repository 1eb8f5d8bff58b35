//! Unit tests of reading page by page.
use futures::FutureExt;

use super::*;

/// Reads the numbers up to `last`, two at a time.
fn read_all(last: u32) -> (Vec<u32>, Vec<(Option<u32>, Consistency)>) {
    let mut reads = Vec::new();
    let read = |after: Option<u32>, consistency| {
        reads.push((after, consistency));
        let next = after.map_or(1, |number| number + 1);
        let items: Vec<u32> = (next..=last).take(2).collect();
        let more = items.last().is_some_and(|number| *number < last);
        std::future::ready(Ok(Page { items, more }))
    };
    let items = all_pages(Consistency::Linearizable, |number: &u32| *number, read)
        .now_or_never()
        .expect("nothing waits");
    (items.expect("no read fails"), reads)
}

#[test]
fn every_page_is_read_after_the_last_item_of_the_one_before() {
    let (items, reads) = read_all(5);
    assert_eq!(items, [1, 2, 3, 4, 5]);
    let expected = [
        (None, Consistency::Linearizable),
        (Some(2), Consistency::Serializable),
        (Some(4), Consistency::Serializable),
    ];
    assert_eq!(reads, expected);
}

#[test]
fn an_empty_list_takes_one_read() {
    assert_eq!(read_all(0), (vec![], vec![(None, Consistency::Linearizable)]));
}
