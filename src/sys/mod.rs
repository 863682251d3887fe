//! The operating system. System calls, their flags and error codes, extended attributes, signals and the files below
//! `/proc` have their place here and nowhere else; `tests/it/floors.rs` reads the sources for it. The functions are thin:
//! decisions stay with the callers, which name what they want and not how this system does it. A port to another system
//! gives these files their counterparts.

mod attribute;
mod descriptors;
mod directory;
mod longest_name;
mod metadata;
mod names;
mod network;
mod open;
mod position;
#[cfg(feature = "cli")]
pub(crate) mod process;
#[cfg(feature = "cli")]
pub(crate) mod signals;
mod space;
mod status;
pub(crate) mod tcp;
#[cfg(feature = "cli")]
pub(crate) mod terminal;
#[cfg(feature = "cli")]
pub(crate) mod unix_socket;

pub(crate) use attribute::{attribute, set_attribute};
pub(crate) use descriptors::{are_used_up, limit as descriptor_limit};
pub(crate) use directory::Handle;
pub(crate) use longest_name::longest_name_in;
pub(crate) use metadata::{Facts, create_private_directories, own_user, set_mode};
#[cfg(feature = "cli")]
pub(crate) use metadata::{make_link, private};
pub(crate) use names::{link, name_unnamed, rename, rename_new, unlink};
pub(crate) use network::{bind_device, fingerprint};
pub(crate) use open::{
    create_new, create_unnamed, lock, open_device, open_following, open_or_create, open_to_read,
    open_to_write,
};
pub(crate) use position::{read_at, write_all_at};
pub(crate) use space::{forget, free, holds_no_data, is_in_memory, memory, reserve};
pub(crate) use status::umask;

/// Error codes in the words of POSIX.
pub(crate) use rustix::io::Errno;
