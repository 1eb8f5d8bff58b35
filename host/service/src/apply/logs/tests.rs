//! Unit tests of `logs`.
use super::*;

#[test]
fn the_oldest_lines_go_first_and_numbers_go_on() {
    let ring = LogRing::default();
    for number in 0..limits::LOG_RING_LINES + 5 {
        ring.extend(
            Time(1),
            vec![LogLine {
                space: SpaceId(1),
                entry_point: EntryPoint::Timer,
                level: 3,
                text: number.to_string(),
            }],
        );
    }
    let first = ring.after(0, 2);
    assert_eq!(first.iter().map(|record| record.number).collect::<Vec<_>>(), [6, 7]);
    assert_eq!(ring.after(limits::LOG_RING_LINES as u64 + 4, 9).len(), 1);
    assert!(ring.after(limits::LOG_RING_LINES as u64 + 5, 9).is_empty());
}
