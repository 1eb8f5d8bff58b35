//! Unit tests of `one_query`.
use super::*;

fn raw(space: &str) -> RawQuery {
    RawQuery { space: space.into(), query: "count", signature: 1, args: vec![7] }
}

async fn count(transport: OneQuery) -> Result<u64, String> {
    let reply = transport.query(raw("s")).await.map_err(|error| format!("{error:?}"))?;
    synod_abi::decode::<u64>(&reply.result).map(|count| count + 1).map_err(|error| error.to_string())
}

#[test]
fn code_says_what_it_asks_and_what_it_makes_of_the_answer() {
    assert_eq!(asked("s", count), Ok(raw("s")));
    assert_eq!(answered(count, 9, synod_abi::encode(&41_u64)), Ok(42));
    assert!(answered(count, 9, vec![]).is_err(), "it does not decode");
}

#[test]
fn what_is_not_one_query_of_the_space_is_refused() {
    let twice = |transport: OneQuery| async move {
        let _first = transport.query(raw("s")).await;
        transport.query(raw("s")).await.map_err(|error| format!("{error:?}"))
    };
    let calls = |transport: OneQuery| async move {
        let call = RawCall { space: "s".into(), operation: "put", signature: 1, args: vec![], wait_ms: None };
        transport.call(call).await.map_err(|error| format!("{error:?}"))
    };
    assert!(asked("other", count).is_err());
    assert!(answered(twice, 1, vec![]).is_err());
    assert!(asked("s", calls).is_err());
    assert!(asked("s", |_| async { Ok::<(), String>(()) }).is_err());
    assert!(asked("s", |_| std::future::pending::<Result<(), String>>()).is_err());
}
