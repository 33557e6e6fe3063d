//! Containers of a Docker engine on the same machine, reached over its Unix socket.
//!
//! - `engine`: connects to the engine and cleans up; `connection`: bounds its answers in bytes and time.
//! - `image`: finds and pulls images, in `registries`; `user`, `user_lookup`: the user that a container runs as.
//! - `peek`: reads files of an image; `linkage`: whether its program is a static binary.
//! - `config`: the container and its safe defaults; `start`: its first program; `seeded`: what a seeded job gets besides.
//! - `space`: where a container may write; `disk`, `meter`: how much it has written; `remains`: removes what it closed.
//! - `run`: one container from start to end; `streams`: its output; `end`: whether that is complete.
//! - `sampler`: its memory, CPU time and page faults, read from `cgroup`.
//! - `times`: the engine's time stamps.
//!
//! The engine must see this process's file system and cgroups, so a remote engine is not supported.

mod cgroup;
mod config;
mod connection;
mod disk;
mod end;
mod engine;
mod image;
mod linkage;
mod meter;
mod peek;
mod registries;
mod remains;
mod run;
mod sampler;
mod scratch;
mod seeded;
mod space;
mod start;
mod streams;
mod times;
mod user;
mod user_lookup;

pub use cgroup::CgroupVersion;
pub use engine::{DEFAULT_SOCKET, DockerExecutor, EngineInfo};
pub use image::ResolvedImage;
pub use registries::Registries;
pub use streams::MAX_STREAM_BYTES;
