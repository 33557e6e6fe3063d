//! Containers of a Docker engine on the same machine, reached over its Unix socket.
//!
//! `connection` bounds what the engine answers, `engine` asks and cleans up, `image` finds images in `registries`, `user` and `user_lookup` find who they run as, `config` holds the safe
//! defaults, `space` is where a container may write, `remains` removes what it closed, `run` sees one container through,
//! `seeded` is what seeded jobs get,
//! `streams` keeps what it prints, `end` tells whether that is all, `sampler` reads `cgroup` and asks `meter` (with
//! `disk`) while it runs, and `times` reads the engine's time stamps. The engine must see this process's file system and
//! cgroups: a remote engine is not supported.

mod cgroup;
mod config;
mod connection;
mod disk;
mod end;
mod engine;
mod huge;
mod image;
mod meter;
mod registries;
mod remains;
mod run;
mod sampler;
mod seeded;
mod space;
mod streams;
mod times;
mod user;
mod user_lookup;

pub use engine::{DEFAULT_SOCKET, DockerExecutor};
pub use image::ResolvedImage;
pub use registries::Registries;
pub use streams::MAX_STREAM_BYTES;
