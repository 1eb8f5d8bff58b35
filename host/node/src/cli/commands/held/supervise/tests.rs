//! Unit tests of `commands::held::supervise`.
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const GRACE: Grace = Grace(Duration::from_millis(300));
const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Child {
    let command = ["sh", "-c", script].map(OsString::from);
    Child::start(&command, &[("SYNOD_TOKEN", "7".to_owned())]).expect("sh starts")
}

async fn run(script: &str, left: impl Fn() -> Duration) -> End {
    let mut signals = Signals::listen().expect("signals");
    tokio::time::timeout(LONG, supervise(shell(script), &mut signals, GRACE, left))
        .await
        .expect("in time")
        .expect("no error")
}

fn counting_down(from: Duration) -> impl Fn() -> Duration {
    let end = Instant::now() + from;
    move || end.saturating_duration_since(Instant::now())
}

#[test]
fn the_grace_is_at_most_a_third_of_the_time_to_live() {
    let second = Duration::from_secs(1);
    assert_eq!(Grace::new(3 * second, 10 * second), Grace(3 * second));
    assert_eq!(Grace::new(3 * second, 6 * second), Grace(2 * second));
    assert_eq!(Grace::new(Duration::ZERO, 6 * second), Grace(Duration::ZERO));
}

#[test]
fn a_command_is_asked_first_and_killed_at_the_deadline_at_the_latest() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    let stop = Told::Stop(now + ms(100));
    let table = [
        (Told::Nothing, ms(301), (None, Told::Nothing)),
        (Told::Nothing, ms(300), (Some(libc::SIGTERM), Told::Stop(now + ms(300)))),
        (Told::Nothing, ms(0), (Some(libc::SIGKILL), Told::Killed)),
        (stop, ms(100), (None, stop)),
        (stop, ms(9_000), (None, stop)),
        (stop, ms(0), (Some(libc::SIGKILL), Told::Killed)),
        (Told::Stop(now), ms(9_000), (Some(libc::SIGKILL), Told::Killed)),
        (Told::Killed, ms(0), (None, Told::Killed)),
    ];
    for (told, left, expected) in table {
        assert_eq!(decide(told, left, GRACE, now), expected, "{told:?} with {left:?} left");
    }
    assert_eq!(pause(Told::Nothing, ms(9_000), GRACE, now), LOOK_EVERY);
    assert_eq!(pause(Told::Nothing, ms(310), GRACE, now), ms(10));
}

#[tokio::test]
async fn a_commands_own_end_is_passed_on() {
    let End::Itself(status) = run("exit $((SYNOD_TOKEN + 4))", || LONG).await else {
        panic!("it was stopped")
    };
    assert_eq!(status.code(), Some(11));
    let End::Itself(status) = run("kill -USR1 $$", || LONG).await else { panic!("it was stopped") };
    assert_eq!(status.signal(), Some(libc::SIGUSR1));
}

#[tokio::test]
async fn a_command_stops_in_time_when_it_is_asked() {
    let began = Instant::now();
    let end =
        run("trap 'exit 0' TERM; while :; do sleep 0.01; done", counting_down(Duration::from_millis(600)))
            .await;
    assert!(matches!(end, End::Stopped), "{end:?}");
    assert!(began.elapsed() >= Duration::from_millis(300), "not before the grace");
}

#[tokio::test]
async fn a_command_that_does_not_listen_is_killed_with_what_it_started() {
    let end = run("trap '' TERM; sleep 60 & wait; sleep 60", counting_down(Duration::from_millis(500))).await;
    assert!(matches!(end, End::Stopped), "{end:?}");
}

#[tokio::test]
async fn a_command_that_was_asked_to_stop_is_not_spared_when_the_cluster_answers_again() {
    let looks = AtomicU64::new(0);
    let left = || if looks.fetch_add(1, Ordering::Relaxed) == 0 { Duration::from_millis(200) } else { LONG };
    let end = run("trap '' TERM; while :; do sleep 0.01; done", left).await;
    assert!(matches!(end, End::Stopped), "{end:?}");
}

#[tokio::test]
async fn a_stopped_command_is_killed_all_the_same() {
    let end = run("kill -STOP $$; exit 0", counting_down(Duration::from_millis(500))).await;
    assert!(matches!(end, End::Stopped), "{end:?}");
}

#[test]
fn a_command_that_cannot_be_started_says_why() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    for (command, kind) in
        [("/no/such/command", io::ErrorKind::NotFound), ("/", io::ErrorKind::PermissionDenied)]
    {
        let error = Child::start(&[OsString::from(command)], &[]).err().expect(command);
        assert_eq!(error.kind(), kind);
    }
}
