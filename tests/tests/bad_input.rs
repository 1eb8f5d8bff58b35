//! Whatever is thrown at a member, it answers with a typed error that names cause and limit,
//! changes nothing, and serves the next request.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures::StreamExt;
use synod_abi::{Fault, Reason, limits};
use synod_api::v1::{
    CallRequest, Consistency, InstallRequest, LogsRequest, Value, spaces_client::SpacesClient, value::Form,
};
use synod_client::{Client, Error, Refusal};
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::recipes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn install_request(module: &[u8]) -> InstallRequest {
    InstallRequest { module: module.to_vec(), ..InstallRequest::default() }
}

async fn refused(client: &Client, module: &[u8]) -> Refusal {
    match client.install_recipe(install_request(module)).await {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("the module was not refused: {other:?}"),
    }
}

async fn call(client: &Client, operation: &str, args: &str) -> Result<String, Error> {
    client.call_json("hostile", operation, args).await.map(|answer| answer.value)
}

async fn rows(client: &Client) -> String {
    client
        .query_json("hostile", "rows", "{}", Consistency::Linearizable)
        .await
        .expect("the member serves the next request")
        .value
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut section = vec![id, body.len() as u8];
    section.extend_from_slice(body);
    section
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_that_are_none_are_refused_with_their_cause() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let good = synod_bundle_kv(&client).await;
    let hostile = recipes::module("hostile");
    let header = b"\0asm\x01\0\0\0".to_vec();
    let start = [
        header.clone(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[1, 0]),
        section(8, &[0]),
        section(10, &[1, 2, 0, 0x0b]),
    ]
    .concat();
    let import =
        [header.clone(), section(1, &[1, 0x60, 0, 0]), section(2, &[1, 3, b'e', b'n', b'v', 1, b'x', 0, 0])]
            .concat();
    let memory64 = [header.clone(), section(5, &[1, 4, 1])].concat();
    let table: [(&str, Vec<u8>, &str); 7] = [
        ("text", b"this is not a module".to_vec(), "NOT_ADMITTED"),
        ("empty", Vec::new(), "NOT_ADMITTED"),
        ("truncated", hostile[..hostile.len() / 2].to_vec(), "NOT_ADMITTED"),
        ("too big", vec![0; limits::MODULE_BYTES + 1], "MODULE_TOO_LONG"),
        ("start function", start, "NOT_ADMITTED"),
        ("wrong import", import, "NOT_ADMITTED"),
        ("forbidden feature", memory64, "NOT_ADMITTED"),
    ];
    for (what, module, reason) in table {
        let refusal = refused(&client, &module).await;
        assert_eq!(refusal.reason, reason, "{what}: {refusal}");
        assert!(!refusal.message.is_empty(), "{what}");
    }
    let no_schema = refused(&client, &header).await;
    assert_eq!(no_schema.reason, "NOT_ADMITTED", "{no_schema}");
    assert!(
        refused(&client, &vec![0; limits::MODULE_BYTES + 1])
            .await
            .limit
            .is_some_and(|limit| limit.1 == limits::MODULE_BYTES as u64)
    );
    assert_eq!(synod_bundle_kv(&client).await, good, "nothing was changed");
}

/// The installed recipes, by name.
async fn synod_bundle_kv(client: &Client) -> Vec<String> {
    let recipes = client.list_recipes().await.expect("the member serves the next request");
    recipes
        .into_iter()
        .filter_map(|info| info.recipe)
        .map(|recipe| format!("{}@{}", recipe.name, recipe.version))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recipe_that_misbehaves_is_stopped_and_leaves_nothing() {
    let cluster = Cluster::started(3, &[]).await;
    let client = cluster.client().await;
    client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
    let long_key = format!(r#"{{"key_bytes": {}, "bytes": 1}}"#, limits::KEY_BYTES);
    let long_value = format!(r#"{{"key_bytes": 1, "bytes": {}}}"#, limits::VALUE_BYTES);
    let long_answer = format!(r#"{{"bytes": {}}}"#, limits::REPLY_BYTES);
    let table = [
        ("spin", "{}", Fault::OutOfFuel, "CALL_FUEL"),
        ("recurse", r#"{"depth": 0}"#, Fault::TooDeep, "CALL_STACK_BYTES"),
        ("allocate", "{}", Fault::OutOfMemory, "MEMORY_PAGES"),
        ("write", "{}", Fault::TooManyWrites, "CALL_WRITE_BYTES"),
        ("panic", "{}", Fault::Panic, ""),
        ("store", &long_key, Fault::KeyTooLong, "KEY_BYTES"),
        ("store", &long_value, Fault::ValueTooLong, "VALUE_BYTES"),
        ("answer", &long_answer, Fault::BadReply, "REPLY_BYTES"),
    ];
    for (operation, args, fault, limit) in table {
        let Err(Error::Refused(refusal)) = call(&client, operation, args).await else {
            panic!("{operation} was not stopped")
        };
        assert_eq!(refusal.fault, Some(fault), "{operation}: {refusal}");
        assert_eq!(refusal.limit.map(|limit| limit.0).unwrap_or_default(), limit, "{operation}");
        assert_eq!(rows(&client).await, "0", "{operation} left rows");
    }
    let Err(Error::Rejected(error)) = call(&client, "refuse", "{}").await else {
        panic!("`refuse` did not refuse")
    };
    assert_eq!((error.code, error.json.as_deref()), (7, Some("\"Refused\"")));
    assert_eq!(rows(&client).await, "0");
    let spun = client.query_json("hostile", "spin_query", "{}", Consistency::Linearizable).await;
    assert!(
        matches!(&spun, Err(Error::Refused(refusal)) if refusal.fault == Some(Fault::QueryTimeout)),
        "{spun:?}"
    );
    assert_eq!(rows(&client).await, "0");
    cluster.assert_equal_digests().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_name_what_ran_and_a_misspelt_name_is_an_error() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    client.install_recipe(recipes::install("hostile")).await.expect("it is a valid module");
    call(&client, "panic", "{}").await.expect_err("it panics");
    let of = |recipe: &str, space: &str| {
        client.recipe_logs(LogsRequest {
            recipe: recipe.to_owned(),
            space: space.to_owned(),
            ..LogsRequest::default()
        })
    };
    let lines: Vec<_> = of("hostile", "hostile").await.expect("it is there").collect().await;
    let lines: Vec<_> = lines.into_iter().map(|line| line.expect("a line")).collect();
    let shown: Vec<_> = lines.iter().map(|line| (line.entry_point.as_str(), &line.text)).collect();
    assert!(matches!(shown[..], [("panic", text)] if text.contains("on purpose")), "{shown:?}");
    for (recipe, space, reason) in
        [("hostil", "", Reason::UnknownRecipe), ("", "hostil", Reason::UnknownSpace)]
    {
        let refused = of(recipe, space).await.map(drop);
        let is_known =
            matches!(&refused, Err(Error::Refused(refusal)) if refusal.known_reason() == Some(reason));
        assert!(is_known, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_names_and_arguments_are_refused_with_the_path_of_the_mistake() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let long = format!(r#"{{"key": "k", "value": "{}"}}"#, "A".repeat(limits::ARGS_BYTES * 4 / 3 + 64));
    let table: [(&str, &str, &str, &str, &str); 10] = [
        ("nowhere", "add", "{}", "UNKNOWN_SPACE", ""),
        ("No Name!", "add", "{}", "INVALID_NAME", ""),
        ("counter", "subtract", "{}", "UNKNOWN_OPERATION", ""),
        ("counter", "get", "{}", "UNKNOWN_OPERATION", ""),
        ("counter", "add", r#"{"key": "a", "by": "x"}"#, "INVALID_ARGUMENTS", "$.by"),
        ("counter", "add", r#"{"key": 7, "by": 1}"#, "INVALID_ARGUMENTS", "$.key"),
        ("counter", "add", r#"{"key": "a", "by": 1, "extra": 2}"#, "INVALID_ARGUMENTS", "$.extra"),
        ("counter", "add", r#"{"key": "a""#, "INVALID_ARGUMENTS", "$"),
        ("counter", "add", r#"{"key": "a", "by": 9223372036854775808}"#, "INVALID_ARGUMENTS", "$.by"),
        ("kv", "put", &long, "INVALID_ARGUMENTS", "$.value"),
    ];
    for (space, operation, args, reason, field) in table {
        let answer = client.call_json(space, operation, args).await;
        let Err(Error::Refused(refusal)) = answer else {
            panic!("{space} {operation} was not refused: {answer:?}")
        };
        assert_eq!(
            (refusal.reason.as_str(), refusal.field.as_deref().unwrap_or_default()),
            (reason, field),
            "{refusal}"
        );
    }
    let answer = client
        .call_json("counter", "add", r#"{"key": "a", "by": 1}"#)
        .await
        .expect("the member serves the next request");
    assert_eq!(answer.value, "\"1\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_requests_and_foreign_schemas_are_refused() {
    let cluster = Cluster::started(1, &[]).await;
    let client = cluster.client().await;
    let foreign = Value { form: Some(Form::Postcard(vec![1, b'a', 2])), signature: 42 };
    let request = |args: Value| CallRequest {
        space: "counter".into(),
        operation: "add".into(),
        args: Some(args),
        ..CallRequest::default()
    };
    let Err(Error::Refused(refusal)) = client.call(request(foreign)).await else {
        panic!("a foreign signature was taken")
    };
    assert_eq!(refusal.reason, "SCHEMA_MISMATCH");

    let address = format!("http://{}", cluster.members[0].client_address);
    let mut raw = SpacesClient::connect(address)
        .await
        .expect("the member listens")
        .max_encoding_message_size(usize::MAX);
    let huge = Value { form: Some(Form::Json(" ".repeat(synod_api::REQUEST_BYTES + 1))), signature: 0 };
    let status = raw.call(request(huge)).await.expect_err("a request over the limit is refused");
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status:?}");
    client
        .call_json("counter", "add", r#"{"key": "a", "by": 1}"#)
        .await
        .expect("the member serves the next request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_both_ports_ends_that_connection_only() {
    let cluster = Cluster::started(3, &[]).await;
    for address in [&cluster.members[0].client_address, &cluster.members[0].peer_address] {
        for garbage in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0xff; 4096],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let mut stream = TcpStream::connect(address.as_str()).expect("the member listens");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out can be set");
            let _ = stream.write_all(garbage);
            let mut answer = Vec::new();
            let _ = stream.take(65_536).read_to_end(&mut answer);
        }
    }
    let client = cluster.client().await;
    client
        .call_json("counter", "add", r#"{"key": "a", "by": 1}"#)
        .await
        .expect("the cluster serves the next request");
    let index = cluster.assert_equal_digests().await;
    assert!(index > 0);
}

/// Sends the beginning of HTTP/2 slowly, a byte at a time, and waits until the member closes the
/// connection.
async fn begin_slowly(address: String, pause: Duration) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let stream = tokio::net::TcpStream::connect(&address).await.expect("the member listens");
    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        for byte in PREFACE {
            if write.write_all(std::slice::from_ref(byte)).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    });
    let mut answer = [0; 1_024];
    let closed = async { while read.read(&mut answer).await.is_ok_and(|bytes| bytes > 0) {} };
    tokio::time::timeout(PATIENCE, closed).await.expect("the connection is closed in time");
    sending.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_do_not_go_on_or_take_too_long_end_on_both_ports() {
    let cluster = Cluster::started(3, &[]).await;
    let mut slow = tokio::task::JoinSet::new();
    for address in [&cluster.members[0].client_address, &cluster.members[0].peer_address] {
        for pause in [Duration::from_millis(300), PATIENCE] {
            slow.spawn(begin_slowly(address.clone(), pause));
        }
    }
    let client = cluster.client().await;
    while !slow.is_empty() {
        client.call_json("counter", "add", r#"{"key": "a", "by": 1}"#).await.expect("it serves meanwhile");
        if let Ok(Some(ended)) = tokio::time::timeout(Duration::from_millis(100), slow.join_next()).await {
            ended.expect("it was closed");
        }
    }
    cluster.assert_equal_digests().await;
}
