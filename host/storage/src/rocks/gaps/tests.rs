//! Unit tests of `gaps`.
use super::*;

fn put(key: &str) -> Write {
    Write::Put { table: Table::State, key: key.as_bytes().to_vec(), value: Vec::new() }
}

/// Where the stretch ends that `key` lies in.
fn end_of(gaps: &Gaps, key: &str) -> Option<String> {
    let only = format!("{key}\0");
    let (inside, _) = gaps.within(Table::State, key.as_bytes(), only.as_bytes(), Direction::Forward, 9);
    inside.into_iter().next().map(|gap| String::from_utf8(gap.to).expect("keys are text"))
}

fn moment(gaps: &Gaps) -> Moment {
    gaps.within(Table::State, b"", b"", Direction::Forward, 0).1
}

fn learn(gaps: &Gaps, from: &str, to: &str) {
    gaps.learn(Table::State, (from.as_bytes(), to.as_bytes()), 40, moment(gaps));
}

#[test]
fn a_stretch_is_known_from_its_first_key_to_the_one_before_its_end() {
    let gaps = Gaps::default();
    learn(&gaps, "b", "d");
    let ends = ["a", "b", "c", "czz", "d"].map(|key| end_of(&gaps, key));
    let to = Some("d".to_owned());
    assert_eq!(ends, [None, to.clone(), to.clone(), to, None]);
    let others = gaps.within(Table::Events, b"c", b"d", Direction::Forward, 9).0;
    assert!(others.is_empty(), "it is another table's");
    learn(&gaps, "x", "x");
    assert_eq!(end_of(&gaps, "x"), None);
}

#[test]
fn stretches_that_meet_or_overlap_become_one() {
    let gaps = Gaps::default();
    learn(&gaps, "b", "d");
    learn(&gaps, "f", "h");
    learn(&gaps, "c", "g");
    assert_eq!(end_of(&gaps, "b").as_deref(), Some("h"));
    learn(&gaps, "a", "c");
    assert_eq!(end_of(&gaps, "a").as_deref(), Some("h"));
}

#[test]
fn a_row_that_is_put_cuts_its_stretch_before_it_is_written() {
    let gaps = Gaps::default();
    learn(&gaps, "b", "f");
    let during = gaps.around(&[put("d"), put("z")], || (end_of(&gaps, "b"), end_of(&gaps, "d")));
    assert_eq!(during, (Some("d".to_owned()), None));
    assert_eq!(end_of(&gaps, "d\0").as_deref(), Some("f"));
    gaps.around(&[put("b")], || ());
    assert_eq!((end_of(&gaps, "b"), end_of(&gaps, "c").as_deref()), (None, Some("d")));
    let deleted = Write::Delete { table: Table::State, key: b"d".to_vec() };
    gaps.around(&[deleted], || ());
    assert_eq!(end_of(&gaps, "c").as_deref(), Some("d"), "it is not known to be a part yet");
}

#[test]
fn what_was_read_while_rows_were_written_is_not_remembered() {
    let gaps = Gaps::default();
    let before = moment(&gaps);
    let during = gaps.around(&[put("c")], || {
        gaps.learn(Table::State, (b"b", b"f"), 40, before);
        let during = moment(&gaps);
        gaps.learn(Table::State, (b"b", b"f"), 40, during);
        during
    });
    for moment in [before, during] {
        gaps.learn(Table::State, (b"b", b"f"), 40, moment);
    }
    assert_eq!(end_of(&gaps, "b"), None);
}

#[test]
fn so_many_stretches_are_known_and_no_more() {
    let gaps = Gaps::default();
    for number in 0..=GAPS {
        learn(&gaps, &format!("{number:06}a"), &format!("{number:06}b"));
    }
    let known = gaps.lock();
    assert_eq!((known.count, known.tables[Table::State as usize].len()), (1, 1));
}

#[test]
fn stretches_of_a_range_come_from_the_end_that_is_asked_for_and_so_many() {
    let gaps = Gaps::default();
    for (from, to) in [("b", "d"), ("f", "h"), ("m", "p")] {
        learn(&gaps, from, to);
    }
    let begins = |from: &str, to: &str, direction, limit| -> String {
        let (inside, _) = gaps.within(Table::State, from.as_bytes(), to.as_bytes(), direction, limit);
        inside.iter().map(|gap| String::from_utf8_lossy(&gap.from)).collect()
    };
    assert_eq!(begins("c", "n", Direction::Forward, 9), "bfm");
    assert_eq!(begins("c", "n", Direction::Backward, 9), "mfb");
    assert_eq!(begins("c", "", Direction::Backward, 2), "mf");
    assert_eq!(begins("d", "m", Direction::Forward, 9), "f");
    assert_eq!(begins("q", "", Direction::Forward, 9), "");
}

#[test]
fn a_stretch_that_grew_by_many_deleted_rows_is_worn_once() {
    let gaps = Gaps::default();
    let learn = |from: &str, to: &str, deleted| {
        gaps.learn(Table::State, (from.as_bytes(), to.as_bytes()), deleted, moment(&gaps));
    };
    learn("b", "d", MANY_ROWS / 2);
    learn("c", "f", MANY_ROWS / 4);
    assert_eq!(gaps.worn.take(), None);
    learn("e", "g", MANY_ROWS / 4);
    let worn = gaps.worn.take().expect("it waits");
    assert_eq!((worn.from.as_slice(), worn.to.as_slice(), worn.deleted), (&b"b"[..], &b"g"[..], MANY_ROWS));
    learn("f", "h", MANY_ROWS / 2);
    assert_eq!(gaps.worn.take(), None);
    gaps.around(&[put("c")], || ());
    learn("c\0", "x", MANY_ROWS - MANY_ROWS / 4);
    let worn = gaps.worn.take().expect("half of what was stepped over is behind the row");
    assert_eq!((worn.from.as_slice(), worn.to.as_slice()), (&b"c\0"[..], &b"x"[..]));
}
