//! The double of an engine that unit tests and transcripts share. Unit tests of the crate include
//! it by its path, so it uses nothing that is not public.
pub(crate) mod recipe;
pub(crate) mod vm;
