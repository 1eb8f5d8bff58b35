//! Rooms: folders inside the large crates, between which imports run only down.
//!
//! Each table repeats the order that the header of its crate or folder states, from top to bottom.
//! Rooms of one line of a table do not know each other.
use std::collections::BTreeMap;

use super::complain;
use super::modules::Tree;

/// The rooms of a crate, or of folders in it, as paths of modules.
struct Rooms {
    /// The file of the crate's root.
    root: &'static str,
    /// The modules within which every module has a room; the empty path is the whole crate.
    within: &'static [&'static str],
    /// From top to bottom. Above all of them are the modules of `within` themselves.
    order: &'static [&'static [&'static str]],
}

const MACHINE: Rooms = Rooms {
    root: "host/machine/src/lib.rs",
    within: &[""],
    order: &[
        &["apply", "query"],
        &["commands"],
        &["upgrade"],
        &["run"],
        &["draft"],
        &["access"],
        &["rows"],
        &["ports"],
        &["log"],
    ],
};
const SERVICE: Rooms = Rooms {
    root: "host/service/src/lib.rs",
    within: &[""],
    order: &[
        &["fuzzing"],
        &["member"],
        &["apply"],
        &["watch"],
        &["parked"],
        &["sessions"],
        &["propose"],
        &["lead"],
        &["agreement"],
        &["read"],
        &["transcode"],
        &["clocks"],
        &["availability"],
        &["failure"],
        &["progress"],
        &["ports"],
    ],
};
const SERVER: Rooms = Rooms {
    root: "host/node/src/lib.rs",
    within: &["server"],
    order: &[
        &["server::fuzzing"],
        &["server::serve"],
        &["server::build"],
        &["server::open"],
        &["server::duties"],
        &["server::client"],
        &["server::peer"],
        &["server::ports"],
        &["server::net"],
        &["server::heap"],
    ],
};
const CLI: Rooms = Rooms {
    root: "host/node/src/lib.rs",
    within: &["cli"],
    order: &[
        &["cli::fuzzing"],
        &["cli::commands"],
        &["bench"],
        &["cli::io"],
        &["cli::values"],
        &["settings"],
    ],
};

/// Where a module lies: the line of the order, from 1, and the room.
type Place = (usize, &'static str);

impl Rooms {
    /// Where a module lies, if it matters; an error if it has no room.
    fn of(&self, module: &[String]) -> Option<Result<Place, ()>> {
        let path = module.join("::");
        let lies_in = |room: &str| {
            path.strip_prefix(room)
                .is_some_and(|rest| room.is_empty() || rest.is_empty() || rest.starts_with("::"))
        };
        for (line, rooms) in self.order.iter().enumerate() {
            if let Some(room) = rooms.iter().find(|room| lies_in(room)) {
                return Some(Ok((line + 1, room)));
            }
        }
        if self.within.contains(&path.as_str()) {
            return Some(Ok((0, "the root")));
        }
        self.within.iter().any(|within| lies_in(within)).then_some(Err(()))
    }

    /// Modules in no room, and imports that run up or between rooms of one line.
    fn offences(&self, tree: &Tree) -> Vec<String> {
        let mut found = Vec::new();
        for module in tree.paths() {
            if self.of(module) == Some(Err(())) {
                let file = tree.file(module);
                found.push(format!("{file} lies in no room; add one to the order here and in the header"));
            }
        }
        for import in tree.imports() {
            let (Some(Ok((from, from_room))), Some(Ok((to, to_room)))) =
                (self.of(&import.from), self.of(&import.to))
            else {
                continue;
            };
            if to < from || (to == from && from_room != to_room) {
                let file = tree.file(&import.from);
                found.push(format!(
                    "{file}: `{}` leads from {from_room} to {to_room}, which is not below",
                    import.path
                ));
            }
        }
        found
    }

    fn check(&self) {
        complain("imports between rooms run only down", &self.offences(&Tree::read(self.root)));
    }
}

#[test]
fn imports_between_the_rooms_of_the_machine_run_down() {
    MACHINE.check();
}

#[test]
fn imports_between_the_rooms_of_the_service_run_down() {
    SERVICE.check();
}

#[test]
fn imports_between_the_rooms_of_the_server_run_down() {
    SERVER.check();
}

#[test]
fn imports_between_the_rooms_of_the_cli_run_down() {
    CLI.check();
}

/// Offences of the crate of these files against `order`.
fn offences(
    within: &'static [&'static str],
    order: &'static [&'static [&'static str]],
    files: &[(&str, &str)],
) -> Vec<String> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let tree = Tree::with("lib.rs", &|path: &str| files.get(path).map(|text| (*text).to_owned()));
    Rooms { root: "lib.rs", within, order }.offences(&tree)
}

const ORDER: &[&[&str]] = &[&["top"], &["left", "right"], &["bottom"]];
const ROOMS: &str = "mod top; mod left; mod right; mod bottom; pub use left::Left;";

#[test]
fn an_import_that_runs_down_is_allowed() {
    let files = [
        ("lib.rs", ROOMS),
        ("/top.rs", "use crate::{Left, right::Right}; fn top(_: Left, _: Right) { crate::bottom::f() }"),
        ("/left.rs", "pub struct Left; use crate::bottom;"),
        ("/right.rs", "pub struct Right;"),
        ("/bottom.rs", "pub fn f() {} #[cfg(test)] mod tests;"),
    ];
    assert_eq!(offences(&[""], ORDER, &files), [""; 0]);
}

#[test]
fn an_import_that_runs_up_is_found() {
    let ups = [
        ("use crate::left::Left;", "crate::left::Left", "left"),
        ("use super::Left;", "super::Left", "left"),
        ("use crate::{Left as L};", "crate::Left", "left"),
        ("fn f() { crate::top::g::<u8>() }", "crate::top::g", "top"),
        ("pub(crate) use crate::left::*; fn f(_: Left) {}", "", ""),
        ("fn f(_: super::top::Inner) {}", "super::top::Inner", "top"),
    ];
    for (text, path, room) in ups {
        let files = [
            ("lib.rs", ROOMS),
            ("/top.rs", "pub use crate::bottom::B; pub struct Inner; pub fn g<T>() {}"),
            ("/left.rs", "pub struct Left;"),
            ("/right.rs", ""),
            ("/bottom.rs", text),
        ];
        let expected = format!("/bottom.rs: `{path}` leads from bottom to {room}, which is not below");
        let expected = if path.is_empty() { Vec::new() } else { vec![expected] };
        assert_eq!(offences(&[""], ORDER, &files), expected, "{text}");
    }
}

#[test]
fn rooms_of_one_line_do_not_know_each_other_and_every_module_has_a_room() {
    let files = [
        ("lib.rs", "mod node; mod outside; struct Elsewhere;"),
        ("/outside.rs", "pub struct Outside; fn f(_: crate::node::left::Left) {}"),
        ("/node.rs", "mod left; mod right; mod leftover; mod attic; struct Node;"),
        ("/node/left.rs", "use super::right::Right; use crate::{Elsewhere, outside::Outside}; struct Left;"),
        ("/node/right.rs", "pub struct Right; fn f(_: super::Node) {}"),
        ("/node/leftover.rs", ""),
        ("/node/attic.rs", ""),
    ];
    let order: &[&[&str]] = &[&["node::left", "node::right", "node::attic"], &["outside"]];
    let expected = [
        "/node/leftover.rs lies in no room; add one to the order here and in the header",
        "/node/left.rs: `super::right::Right` leads from node::left to node::right, which is not below",
        "/node/right.rs: `super::Node` leads from node::right to the root, which is not below",
        "/outside.rs: `crate::node::left::Left` leads from outside to node::left, which is not below",
    ];
    assert_eq!(offences(&["node"], order, &files), expected);
}
