//! How a limit is divided.
use super::*;

#[test]
fn with_enough_descriptors_nobody_has_less_than_the_most() {
    let divided = Descriptors::divide(wanted(512), 512);
    let full = Descriptors {
        limit: wanted(512),
        table_files: 512,
        clients: CLIENT_CONNECTIONS,
        peers: PEER_CONNECTIONS,
    };
    assert_eq!(divided, full);
    assert_eq!(Descriptors::divide(1_048_576, 512), Descriptors { limit: 1_048_576, ..full });
}

#[test]
fn clients_have_what_the_store_and_the_peers_leave_over() {
    let divided = Descriptors::divide(4_096, 512);
    assert_eq!((divided.table_files, divided.clients, divided.peers), (512, 4_096 - 256 - 1_024 - 256, 256));
}

#[test]
fn of_a_small_limit_everybody_has_a_part() {
    for limit in [64, 95, 256, 1_024] {
        let Descriptors { table_files, clients, peers, .. } = Descriptors::divide(limit, 512);
        let used = u64::try_from(table_files).expect("not negative") + (clients + peers) as u64;
        assert!(used <= limit / 2 + LEAST_TABLE_FILES, "{used} of {limit}");
        assert!(clients > 0 && peers > 0 && table_files >= 20, "{clients} {peers} {table_files}");
    }
}

#[test]
fn no_limit_at_all_lets_one_of_each_connect() {
    let divided = Descriptors::divide(0, 512);
    assert_eq!((divided.clients, divided.peers), (1, 1));
}
