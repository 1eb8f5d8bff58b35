//! Golden bytes of everything that is encoded: a change here is a change of the log or of stored rows, which old
//! members and old data do not understand.
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use synod_abi::{
    AdmissionError, Blob, ClusterId, Fault, InvalidName, MemberId, ModuleHash, OperationId, RecipeName, RecipeRef, Revision, SessionId,
    SpaceId, SpaceName, Time, decode, encode,
};

use crate::directory::{FORMAT, Head, StoredRecipe, StoredSpace};
use crate::outcome::{Change, Incompatible};
use crate::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, expected: &str) {
    let bytes = encode(&value);
    assert_eq!(hex(&bytes), expected.replace(' ', ""), "{value:?}");
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(&value));
}

fn name() -> SpaceName {
    SpaceName::new("a/b").unwrap()
}

fn recipe() -> RecipeName {
    RecipeName::new("r").unwrap()
}

fn reference() -> RecipeRef {
    RecipeRef { name: recipe(), version: 300 }
}

#[test]
fn actions() {
    golden(Action::FormCluster { cluster: ClusterId([0xab; 16]) }, &format!("00 {}", "ab".repeat(16)));
    let environment = Environment { semantics: 1, engine: [0xcd; 32] };
    golden(Action::SetEnvironment { environment }, &format!("01 01 {}", "cd".repeat(32)));
    golden(Action::InstallRecipe { module: Blob(vec![1, 2]), replace: true }, "02 02 0102 01");
    golden(Action::RemoveRecipe { recipe: reference() }, "03 01 72 ac02");
    golden(Action::CreateSpace { name: name(), recipe: recipe(), version: None }, "04 03 612f62 01 72 00");
    golden(Action::CreateSpace { name: name(), recipe: recipe(), version: Some(2) }, "04 03 612f62 01 72 01 02");
    golden(Action::UpgradeSpace { name: name(), to: 2 }, "05 03 612f62 02");
    golden(Action::DeleteSpace { name: name() }, "06 03 612f62");
    let call = Call { space: SpaceId(1), operation: OperationId(0x8000_0000), args: Blob(vec![9]) };
    golden(Action::Call(call), "07 01 8080808008 01 09");
}

#[test]
fn entries() {
    let origin = Origin { member: MemberId(1), incarnation: 2, sequence: 3 };
    let session = Some(SessionId([0xee; 16]));
    let commands = vec![
        Command { origin, caller: Caller { principal: Principal::System, session }, action: Action::DeleteSpace { name: name() } },
        Command { origin: Origin::default(), caller: Caller::default(), action: Action::DeleteSpace { name: name() } },
    ];
    let expected = format!("ac02 02  01 02 03  01 01 {}  06 03 612f62   00 00 00  00 00  06 03 612f62", "ee".repeat(16));
    golden(Entry { stamp: Time(300), commands }, &expected);
}

#[test]
fn replies() {
    golden(Reply::Done, "00");
    golden(Reply::Result(Blob(vec![5])), "01 01 05");
    let hash = ModuleHash([0xab; 32]);
    golden(Reply::Installed { recipe: reference(), hash, already: true }, &format!("02 01 72 ac02 {} 01", "ab".repeat(32)));
    golden(Reply::Space { space: SpaceId(1), recipe: reference(), already: false }, "03 01 01 72 ac02 00");
    golden(Outcome { revision: Revision(1), time: Time(2), result: Ok(Reply::Done) }, "01 02 00 00");
    golden(Outcome { revision: Revision(1), time: Time(2), result: Err(Rejection::UnknownSpace) }, "01 02 01 02");
}

#[test]
fn rejections() {
    golden(Rejection::Recipe { code: 1, error: Blob(vec![7]) }, "00 01 01 07");
    golden(Rejection::Fault(Fault::OutOfFuel), "01 02");
    golden(Rejection::UnknownSpace, "02");
    golden(Rejection::UnknownRecipe, "03");
    golden(Rejection::UnknownOperation, "04");
    golden(Rejection::ArgumentsTooLong, "05");
    golden(Rejection::NotAdmitted(AdmissionError::NotWasm), "06 00");
    golden(Rejection::RecipeExists { hash: ModuleHash([0xab; 32]) }, &format!("07 {}", "ab".repeat(32)));
    golden(Rejection::RecipeInUse, "08");
    golden(Rejection::SpaceExists { recipe: reference() }, "09 01 72 ac02");
    golden(Rejection::IncompatibleUpgrade(Incompatible { name: "f".into(), change: Change::Removed }), "0a 01 66 00");
    golden(Rejection::TooMany { limit: 3 }, "0b 03");
    golden(Rejection::AlreadyFormed, "0c");
    golden(Rejection::Deferred, "0d");
    golden(Rejection::InvalidName(InvalidName::TooLong), "0e 01");
    golden(Rejection::NotAllowed, "0f");
    golden(Rejection::NotFormed, "10");
}

#[test]
fn changes() {
    let changes =
        [Change::Removed, Change::Arguments, Change::Result, Change::Errors, Change::Kind, Change::Key, Change::Value, Change::NotNewer];
    for (number, change) in changes.into_iter().enumerate() {
        golden(change, &format!("{number:02x}"));
    }
}

#[test]
fn stored_rows() {
    let head = Head {
        format: FORMAT,
        cluster: None,
        environment: None,
        revision: Revision(1),
        time: Time(2),
        tokens: 3,
        commands: 4,
        ..Head::EMPTY
    };
    let head = Head { last_space: 5, recipes: 6, spaces: 7, index: 8, ..head };
    golden(head, &format!("01 00 00 01 02 03 04 05 06 07 00000000 08 {}", "00".repeat(32)));
    let space = StoredSpace { id: SpaceId(1), recipe: reference(), created: Revision(2), created_at: Time(3) };
    assert_eq!(hex(&encode(&space)), "010172ac020203");
    let recipe = StoredRecipe { hash: ModuleHash([0xab; 32]), module_bytes: 1, installed: Revision(2), installed_at: Time(3) };
    assert_eq!(hex(&encode(&recipe)), format!("{}010203", "ab".repeat(32)));
}

#[test]
fn digests() {
    let head = Head { cluster: Some(ClusterId([1; 16])), revision: Revision(9), index: 3, chain: [2; 32], ..Head::EMPTY };
    assert_eq!(head.state_digest(), Head { index: 4, chain: [5; 32], ..head }.state_digest());
    let mut sum = RowSum::default();
    sum.add(Table::State, b"key", b"value", &mut Vec::new());
    sum.add(Table::Recipes, b"", b"", &mut Vec::new());
    assert_eq!(hex(&sum.to_bytes()), "46a313fd5c490cbd66e9bb72e478ebd3993bd7420041a9d8985a8ac53272d98e");
    assert_eq!(RowSum::from_bytes(&sum.to_bytes()), sum);
}
