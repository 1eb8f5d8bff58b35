//! Unit tests of `event`.
use super::*;

#[test]
fn a_filter_is_written_as_it_is_read() {
    for (text, filter, yes, no) in [
        ("config/", TopicFilter::Prefix("config/".into()), "config/a", "config"),
        ("db*", TopicFilter::Prefix("db".into()), "db", "d"),
        ("db", TopicFilter::Exact("db".into()), "db", "db1"),
    ] {
        assert_eq!(TopicFilter::parse(text), filter);
        assert_eq!(filter.to_string(), text);
        assert!(filter.matches(yes) && !filter.matches(no), "{text}");
    }
    assert_eq!(TopicFilter::parse("config/*"), TopicFilter::parse("config/"));
    assert_eq!(TopicFilter::parse(""), TopicFilter::all());
    assert_eq!(TopicFilter::all().to_string(), "*");
}

#[test]
fn a_payload_decodes_as_its_type_and_nothing_else() {
    let space = SpaceName::new("kv").expect("a name");
    let event = Event { space, topic: "a".into(), payload: Blob(crate::encode(&(7_u32, "x"))) };
    assert_eq!(event.decode::<(u32, String)>(), Some((7, "x".to_string())));
    assert_eq!(event.decode::<u32>(), None, "bytes are left");
    assert_eq!(event.decode::<(u32, String, u32)>(), None, "it ends early");
}

#[test]
fn topics_have_one_to_512_bytes_and_prefixes_may_be_empty() {
    let long = "x".repeat(limits::EVENT_TOPIC_BYTES + 1);
    assert_eq!(check_topic(""), Err(InvalidTopic::Empty));
    assert_eq!(check_topic(&long), Err(InvalidTopic::TooLong));
    assert_eq!(check_topic(&long[1..]), Ok(()));
    assert_eq!(TopicFilter::Prefix(long).check(), Err(InvalidTopic::TooLong));
    assert_eq!(TopicFilter::all().check(), Ok(()));
    assert_eq!(TopicFilter::Exact(String::new()).check(), Err(InvalidTopic::Empty));
}
