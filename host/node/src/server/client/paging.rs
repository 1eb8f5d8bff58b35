//! Reading lists that are longer than one read: page by page.
use synod_machine::directory::Page;
use synod_service::{CallFailure, Consistency};

/// Rows of the directory that one read takes.
pub(super) const PAGE: usize = 1_024;

/// Every item of a list, as fresh as `consistency` says. `read` reads the page after an item, or
/// the first page.
///
/// Only the first page needs a read index: later pages are read from the same or a later state.
pub(super) async fn all_pages<T, K, R>(
    mut consistency: Consistency,
    key: impl Fn(&T) -> K,
    mut read: impl FnMut(Option<K>, Consistency) -> R,
) -> Result<Vec<T>, CallFailure>
where
    R: Future<Output = Result<Page<T>, CallFailure>>,
{
    let mut items = Vec::new();
    loop {
        let page = read(items.last().map(&key), consistency).await?;
        items.extend(page.items);
        if !page.more {
            return Ok(items);
        }
        consistency = Consistency::Serializable;
    }
}

#[cfg(test)]
mod tests;
