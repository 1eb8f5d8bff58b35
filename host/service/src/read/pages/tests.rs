//! Pages of any size give the whole list, and an error ends it.
use super::*;

fn list(items: &[u32], pages: usize, after: Option<u32>) -> Vec<u32> {
    let read = |after: Option<&u32>, limit: usize| {
        assert_eq!(limit, PAGE);
        let from = after.map_or(0, |after| items.partition_point(|item| item <= after));
        let to = items.len().min(from + pages);
        Ok(Page { items: items[from..to].to_vec(), more: to < items.len() })
    };
    paged(after, read, |item| *item).map(|item| item.expect("a page")).collect()
}

#[test]
fn pages_of_any_size_give_the_whole_list() {
    let items: Vec<u32> = (1..=7).collect();
    for pages in 1..=8 {
        assert_eq!(list(&items, pages, None), items);
        assert_eq!(list(&items, pages, Some(3)), items[3..]);
        assert!(list(&[], pages, None).is_empty());
    }
}

#[test]
fn an_error_ends_the_list() {
    let read = |after: Option<&u32>, _| match after {
        None => Ok(Page { items: vec![1], more: true }),
        Some(_) => Err(Fatal("unreadable".to_owned())),
    };
    let all: Vec<_> = paged(None, read, |item| *item).collect();
    assert_eq!(all, [Ok(1), Err(Fatal("unreadable".to_owned()))]);
}
