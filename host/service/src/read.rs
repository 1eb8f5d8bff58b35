//! What a member reads: how far its state is, when a read may be served from it, and the spaces and
//! schemas that it knows.
//!
//! Nothing here writes or proposes.
mod applied;
mod directory;
mod pages;
mod reader;

pub use applied::{AppliedState, DIGESTS};
pub use directory::{DirectoryCache, Kind, RecipeEntry, SpaceEntry};
pub(crate) use pages::paged;
pub(crate) use reader::Probed;
pub use reader::{Consistency, Reader, WAITING_READS};
