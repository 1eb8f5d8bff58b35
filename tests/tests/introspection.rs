//! What tools that know gRPC and not Synod are told: reflection, as grpcurl asks it, and health, as
//! load balancers do; and what a script is told that waits for `synod status` to succeed.
use std::process::Command;

use synod_tests::binary::synod;
use synod_tests::cluster::{Cluster, PATIENCE};
use synod_tests::wait::until;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ListServiceResponse, ServerReflectionRequest};

/// Every service of the port for clients.
const SERVICES: [&str; 7] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "synod.v1.Cluster",
    "synod.v1.Recipes",
    "synod.v1.Sessions",
    "synod.v1.SpaceAdmin",
    "synod.v1.Spaces",
];

async fn channel(cluster: &Cluster) -> Channel {
    let address = format!("http://{}", cluster.members[0].client_address);
    Channel::from_shared(address).expect("it is an address").connect().await.expect("the member listens")
}

async fn reflect(channel: Channel, asked: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let answers =
        ServerReflectionClient::new(channel).server_reflection_info(futures::stream::iter([request])).await;
    let answer = answers
        .expect("reflection is served")
        .into_inner()
        .message()
        .await
        .expect("it answers")
        .expect("once a question");
    answer.message_response.expect("with an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_and_describes_what_the_port_serves() {
    let cluster = Cluster::started(1, &[]).await;
    let channel = channel(&cluster).await;
    let listed = reflect(channel.clone(), MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(ListServiceResponse { service }) = listed else {
        panic!("no list: {listed:?}")
    };
    let mut names: Vec<_> = service.iter().map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, SERVICES);
    for name in SERVICES {
        let described = reflect(channel.clone(), MessageRequest::FileContainingSymbol(name.to_owned())).await;
        let MessageResponse::FileDescriptorResponse(files) = described else {
            panic!("{name}: {described:?}")
        };
        let (_, short) = name.rsplit_once('.').expect("services have packages");
        let describes = |file: &Vec<u8>| file.windows(short.len()).any(|window| window == short.as_bytes());
        assert!(files.file_descriptor_proto.iter().any(describes), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_of_the_server_and_of_each_service_until_it_stops() {
    let mut cluster = Cluster::started(1, &[]).await;
    let mut health = HealthClient::new(channel(&cluster).await);
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    until("the member to be ready", PATIENCE, || async {
        let status = health.clone().check(of("")).await.ok()?.into_inner().status();
        (status == ServingStatus::Serving).then_some(())
    })
    .await;
    for service in SERVICES.into_iter().filter(|service| service.starts_with("synod.")).chain([""]) {
        let answer = health.check(of(service)).await.unwrap_or_else(|status| panic!("`{service}`: {status}"));
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "`{service}`");
    }
    assert_eq!(health.check(of("synod.v1.Absent")).await.expect_err("there is none").code(), Code::NotFound);
    let mut watches = Vec::new();
    for service in ["", "synod.v1.Spaces", "synod.v1.Cluster"] {
        watches.push(health.watch(of(service)).await.expect("health can be watched").into_inner());
    }
    let status = |told: Result<Option<HealthCheckResponse>, Status>| {
        told.expect("it answers").expect("it goes on").status()
    };
    for watch in &mut watches {
        assert_eq!(status(watch.message().await), ServingStatus::Serving);
    }
    assert!(cluster.stop(0).await.success(), "an open watch does not hold up the stop");
    for watch in &mut watches {
        assert_eq!(status(watch.message().await), ServingStatus::NotServing);
    }
}

/// Whether a command succeeds that asks one member.
async fn succeeds(address: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(synod());
    command.args(["--endpoint", address, "--timeout-ms", "5000"]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().expect("it can be run")).await;
    output.expect("it ends").status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_status_that_succeeds_on_fresh_members_follows_their_bundled_recipes() {
    for size in [1, 3] {
        let mut cluster = Cluster::new(size, &[]);
        (0..size).for_each(|n| cluster.start(n));
        let address = cluster.members[size - 1].client_address.as_str();
        until("a status that succeeds", PATIENCE, || async {
            succeeds(address, &["status"]).await.then_some(())
        })
        .await;
        let calls: [&[&str]; 4] = [
            &["call", "counter", "add", "--key", "n", "--by", "1"],
            &["call", "kv", "put", "--key", "k", "--value", "v"],
            &["lock", "x", "--", "true"],
            &["query", "audit", "trail"],
        ];
        for call in calls {
            assert!(succeeds(address, call).await, "{size} members are ready, and fail: {call:?}");
        }
    }
}
