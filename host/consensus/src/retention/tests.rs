//! Unit tests of `retention`.
use synod_storage::LogRecord;

use super::{Meter, purge_up_to};
use crate::Settings;

#[test]
fn the_meter_knows_where_the_newest_bytes_begin_to_a_part() {
    let settings =
        Settings { compaction_bytes: 1_600 * 1_024, log_limit_bytes: 3_200 * 1_024, ..Settings::default() };
    let meter = Meter::new(&settings);
    let kibibyte: std::sync::Arc<[u8]> = vec![0; 1_024].into();
    for index in 0..10_000 {
        meter.count(&[LogRecord { index, bytes: kibibyte.clone() }]);
        for (bytes, entries) in [(settings.compaction_bytes, 1_600), (settings.log_limit_bytes, 3_200)] {
            match meter.before(bytes) {
                Some(before) => {
                    assert!((entries..entries + 200).contains(&(index - before)), "{index}: {before}");
                }
                None => assert!(index < entries + 200, "{index}"),
            }
        }
        assert_eq!(meter.times(settings.compaction_bytes), (index + 1) / 1_600);
    }
}

#[test]
fn everything_goes_but_what_is_to_be_kept_and_never_less_than_the_limit_allows() {
    let settings = Settings { log_entries_to_keep: 100, ..Settings::default() };
    let up_to = |covered, by_bytes, needed, limit| purge_up_to(&settings, covered, by_bytes, needed, limit);
    for (what, expected, found) in [
        ("so many entries stay", 900, up_to(1_000, None, None, None)),
        ("all stay", 0, up_to(50, None, None, None)),
        ("long entries go earlier", 950, up_to(1_000, Some(950), None, None)),
        ("what is not on disk stays", 1_000, up_to(1_000, Some(2_000), None, None)),
        ("what a peer needs stays", 300, up_to(1_000, None, Some(300), None)),
        ("a peer that is not behind keeps nothing", 900, up_to(1_000, None, Some(990), None)),
        ("beyond the limit it goes all the same", 400, up_to(1_000, None, Some(300), Some(400))),
        ("the limit alone removes nothing", 900, up_to(1_000, None, Some(990), Some(950))),
    ] {
        assert_eq!(found, expected, "{what}");
    }
}
