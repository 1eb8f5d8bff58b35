//! Lists of the state, read page by page.
use synod_machine::Fatal;
use synod_machine::directory::Page;

/// Items that one read takes.
const PAGE: usize = 1_024;

/// See [`paged`].
struct Paged<T, K, R, F> {
    read: R,
    key: F,
    after: Option<K>,
    page: std::vec::IntoIter<T>,
    more: bool,
}

/// All items of a list after `after`. `read` reads the page after a key, of so many items at most;
/// `key` is that of an item. The first error ends the list.
pub(crate) fn paged<T, K>(
    after: Option<K>,
    read: impl FnMut(Option<&K>, usize) -> Result<Page<T>, Fatal>,
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = Result<T, Fatal>> {
    Paged { read, key, after, page: Vec::new().into_iter(), more: true }
}

impl<T, K, R, F> Iterator for Paged<T, K, R, F>
where
    R: FnMut(Option<&K>, usize) -> Result<Page<T>, Fatal>,
    F: Fn(&T) -> K,
{
    type Item = Result<T, Fatal>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
            if !std::mem::take(&mut self.more) {
                return None;
            }
            match (self.read)(self.after.as_ref(), PAGE) {
                Ok(Page { items, more }) => {
                    self.more = more && !items.is_empty();
                    self.after = items.last().map(&self.key);
                    self.page = items.into_iter();
                }
                Err(fatal) => return Some(Err(fatal)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
