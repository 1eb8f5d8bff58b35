//! Unit tests of `gaps`.
use super::*;

fn put(key: &str) -> Write {
    Write::Put { table: Table::State, key: key.as_bytes().to_vec(), value: Vec::new() }
}

fn end_of(gaps: &Gaps, key: &str) -> Option<String> {
    let (end, _) = gaps.end_of(Table::State, key.as_bytes());
    end.map(|end| String::from_utf8(end).expect("keys are text"))
}

fn learn(gaps: &Gaps, from: &str, to: &str) {
    let (_, moment) = gaps.end_of(Table::State, b"");
    gaps.learn(Table::State, from.as_bytes(), to.as_bytes(), moment);
}

#[test]
fn a_stretch_is_known_from_its_first_key_to_the_one_before_its_end() {
    let gaps = Gaps::default();
    learn(&gaps, "b", "d");
    let ends = ["a", "b", "c", "czz", "d"].map(|key| end_of(&gaps, key));
    let to = Some("d".to_owned());
    assert_eq!(ends, [None, to.clone(), to.clone(), to, None]);
    assert_eq!(gaps.end_of(Table::Events, b"c").0, None, "it is another table's");
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
    let (_, before) = gaps.end_of(Table::State, b"b");
    let during = gaps.around(&[put("c")], || {
        gaps.learn(Table::State, b"b", b"f", before);
        let (_, during) = gaps.end_of(Table::State, b"b");
        gaps.learn(Table::State, b"b", b"f", during);
        during
    });
    for moment in [before, during] {
        gaps.learn(Table::State, b"b", b"f", moment);
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
