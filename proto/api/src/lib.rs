//! The gRPC surfaces as Rust: types and stubs generated from `proto/v1`, and the one place where a
//! failure is put into a gRPC status and read back.
//!
//! The client port speaks plain protobuf; messages between members carry a checksum (`checked`).
//!
//! The server (`synod`) and `synod-client` share it, so that a status means the same to both. It
//! holds no logic of either, and its types stay inside them: neither the machine nor the service
//! crate sees a prost type.

mod checked;
mod event;
mod failure;
mod fault;

pub use failure::{ERROR_DOMAIN, FAILURE_TYPE_URL, failure_of_status, status_of_failure};
pub use fault::{fault_from_api, fault_to_api};

/// Generated from the .proto files, nested as their packages are.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the documentation is in the .proto files"
)]
mod generated {
    pub mod synod {
        pub mod v1 {
            tonic::include_proto!("synod.v1");
            pub use crate::event::Event;
        }
        pub mod peer {
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/peers/synod.peer.v1.rs"));
            }
        }
    }
}

/// Package `synod.v1`: what clients call.
pub use generated::synod::v1;

/// Package `synod.peer.v1`: what members call on each other.
pub use generated::synod::peer::v1 as peer;

/// Every .proto file of this crate as an encoded `FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Largest request message, in bytes: what a client sends at most, and a server decodes. A module
/// and the JSON of the longest arguments fit.
pub const REQUEST_BYTES: usize = 4 * 1_024 * 1_024;

/// Largest reply message, in bytes: what a server sends at most, and a client decodes. The longest
/// JSON of a result fits.
pub const REPLY_BYTES: usize = (4 * 1_024 + 512) * 1_024;

/// Name of the metadata in which a request names the cluster that it is for, as hexadecimal.
pub const CLUSTER_METADATA: &str = "synod-cluster";
