//! Keys and values with revisions: what configuration, discovery and ad-hoc state need.
//!
//! Each row tells the revision that made it, the revision that changed it last, and how often it
//! was written. `compare_and_set` compares the revision of the last change, so a writer never
//! overwrites what it has not read. Every change is an event with the key as its topic, so a watch
//! follows a key or all that begin alike. It keeps no former values: only the latest can be read.
use synod_sdk::prelude::*;

/// Longest key, in bytes.
pub const KEY_BYTES: usize = 500;
/// Longest value, in bytes.
pub const VALUE_BYTES: usize = 255 * 1_024;
/// Most rows of a page.
pub const PAGE_ROWS: u32 = 1_000;
/// A page ends behind the row that makes it longer than this, in bytes.
pub const PAGE_BYTES: usize = 512 * 1_024;

/// The stored part of a row.
#[data]
struct Stored {
    value: Blob,
    create_revision: Revision,
    version: u64,
    mod_revision: Revision,
}

/// A key and what is known about it.
#[data]
pub struct Row {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Blob,
    /// Revision that made the row.
    pub create_revision: Revision,
    /// Revision that changed it last: what `expected` is compared with.
    pub mod_revision: Revision,
    /// How often it was written since it was made, from 1.
    pub version: u64,
}

/// What a write did.
#[data]
pub struct Written {
    /// The row's `mod_revision` from now on: pass it as `expected` to the next `compare_and_set`.
    pub revision: Revision,
    /// The row's version from now on.
    pub version: u64,
}

/// A page of rows.
#[data]
pub struct Page {
    /// Rows, by key.
    pub rows: Vec<Row>,
    /// There are more: pass it as `from` for the next page.
    pub next: Option<String>,
}

/// What became of the key that is the event's topic. The event's revision is the row's
/// `mod_revision`.
#[data]
pub enum Change {
    /// It was set.
    Put {
        /// Its value from now on.
        value: Blob,
        /// How often it was written since it was made, from 1: with 1 it was absent before.
        version: u64,
        /// Revision that made the row.
        create_revision: Revision,
    },
    /// It was there, and was removed.
    Deleted,
}

/// Why a call is refused.
#[errors]
pub enum KvError {
    /// The key was changed by someone else; read it and decide again. 0 means that it is absent.
    #[error(1, aborted)]
    Conflict {
        /// Its `mod_revision`; 0 if it is absent.
        current: Revision,
    },
    /// A key has 1 to 500 bytes.
    #[error(2, invalid_argument)]
    BadKey {
        /// Length of the key that was sent.
        bytes: u64,
        /// The longest that is stored.
        limit: u64,
    },
    /// A value has at most 261120 bytes; store larger ones elsewhere and their address here.
    #[error(3, invalid_argument)]
    ValueTooLong {
        /// Length of the value that was sent.
        bytes: u64,
        /// The longest that is stored.
        limit: u64,
    },
}

/// Keys and values with revisions.
#[recipe(name = "kv", version = 1, emits = Change)]
pub struct Kv {
    /// Row by key.
    rows: Map<String, Stored>,
}

#[ops]
impl Kv {
    /// Sets the key's value.
    #[op]
    fn put(&self, cx: &mut Ctx, key: String, value: Blob) -> Result<Written, KvError> {
        let former = self.stored(cx, &key);
        self.write(cx, &key, value, former)
    }

    /// Sets the key's value if its `mod_revision` is `expected`; 0 expects that it is absent.
    #[op]
    fn compare_and_set(
        &self,
        cx: &mut Ctx,
        key: String,
        expected: Revision,
        value: Blob,
    ) -> Result<Written, KvError> {
        let former = self.stored(cx, &key);
        check(former.as_ref(), expected)?;
        self.write(cx, &key, value, former)
    }

    /// Removes the key and returns whether it was there.
    #[op]
    fn delete(&self, cx: &mut Ctx, key: String) -> bool {
        let there = can_be_stored(&key) && self.rows.contains(cx, &key);
        if there {
            self.remove(cx, &key);
        }
        there
    }

    /// Removes the key if its `mod_revision` is `expected`; 0 expects that it is absent, and does
    /// nothing.
    #[op]
    fn compare_and_delete(&self, cx: &mut Ctx, key: String, expected: Revision) -> Result<(), KvError> {
        let former = self.stored(cx, &key);
        check(former.as_ref(), expected)?;
        if former.is_some() {
            self.remove(cx, &key);
        }
        Ok(())
    }

    /// The key's row, if it is there.
    #[query]
    fn get(&self, cx: &QueryCtx, key: String) -> Option<Row> {
        let stored = if can_be_stored(&key) { self.rows.get(cx, &key)? } else { return None };
        Some(row(key, stored))
    }

    /// Rows with keys from `from` on and below `to` (to the last if absent), at most `limit` (1,000
    /// if absent or more) or about 512 KiB.
    #[query]
    fn range(&self, cx: &QueryCtx, from: String, to: Option<String>, limit: Option<u32>) -> Page {
        match to {
            Some(to) => page(self.rows.range(cx, from..to), limit, |_| true),
            None => page(self.rows.range(cx, from..), limit, |_| true),
        }
    }

    /// Rows with keys that begin with `prefix`, at most `limit` (1,000 if absent or more) or about
    /// 512 KiB, beginning at `from`.
    #[query]
    fn list(&self, cx: &QueryCtx, prefix: String, limit: Option<u32>, from: Option<String>) -> Page {
        let from = from.filter(|from| *from > prefix).unwrap_or_else(|| prefix.clone());
        page(self.rows.range(cx, from..), limit, |key| key.starts_with(&prefix))
    }

    /// The row of a key; of one that is too long there is none.
    fn stored(&self, cx: &Ctx, key: &String) -> Option<Stored> {
        if can_be_stored(key) { self.rows.get(cx, key) } else { None }
    }

    fn write(
        &self,
        cx: &mut Ctx,
        key: &str,
        value: Blob,
        former: Option<Stored>,
    ) -> Result<Written, KvError> {
        ensure!(can_be_stored(key), KvError::BadKey { bytes: key.len() as u64, limit: KEY_BYTES as u64 });
        ensure!(
            value.len() <= VALUE_BYTES,
            KvError::ValueTooLong { bytes: value.len() as u64, limit: VALUE_BYTES as u64 }
        );
        let revision = cx.revision();
        let (create_revision, version) =
            former.map_or((revision, 1), |former| (former.create_revision, former.version + 1));
        cx.emit(key, &Change::Put { value: value.clone(), version, create_revision });
        self.rows.put(cx, key, &Stored { value, create_revision, version, mod_revision: revision });
        Ok(Written { revision, version })
    }

    fn remove(&self, cx: &mut Ctx, key: &str) {
        self.rows.delete(cx, key);
        cx.emit(key, &Change::Deleted);
    }
}

fn can_be_stored(key: &str) -> bool {
    (1..=KEY_BYTES).contains(&key.len())
}

fn check(stored: Option<&Stored>, expected: Revision) -> Result<(), KvError> {
    let current = stored.map_or(Revision(0), |stored| stored.mod_revision);
    ensure!(current == expected, KvError::Conflict { current });
    Ok(())
}

fn row(key: String, stored: Stored) -> Row {
    let Stored { value, create_revision, version, mod_revision } = stored;
    Row { key, value, create_revision, mod_revision, version }
}

fn page(
    rows: synod_sdk::state::Range<'_, '_, String, Stored>,
    limit: Option<u32>,
    wanted: impl Fn(&str) -> bool,
) -> Page {
    let limit = limit.unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS) as usize;
    let (mut page, mut bytes) = (Page { rows: Vec::new(), next: None }, 0);
    for (key, stored) in rows.at_most(limit + 1).take_while(|(key, _)| wanted(key)) {
        if page.rows.len() == limit || bytes > PAGE_BYTES {
            page.next = Some(key);
            break;
        }
        bytes += key.len() + stored.value.len();
        page.rows.push(row(key, stored));
    }
    page
}
