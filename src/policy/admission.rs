//! What an operator lets a node work for, and when: the part of its limits that others need not know.

use serde::{Deserialize, Serialize};

use super::{
    hours::{self, Hours},
    pattern::Pattern,
};
use crate::domain::{DEFAULT_REGISTRY, ImageName, Job, NodeId, Resources, Spec, Timestamp};

/// What an operator lets a node work for, and when. The default admits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Admission {
    /// The images that it runs; all if empty.
    #[serde(default)]
    pub images: Vec<Pattern>,
    /// The requesters that it works for; all if empty.
    #[serde(default)]
    pub requesters: Vec<Pattern>,
    /// The hours in which it takes on work; always if empty.
    #[serde(default)]
    pub hours: Vec<Hours>,
    /// What all of its containers may take together.
    #[serde(default)]
    pub together: Together,
}

/// What all containers of a node may take together; no bound where `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Together {
    /// Memory in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Thousandths of a CPU.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// Bytes of output and scratch.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
}

/// Why a node's operator keeps it from bidding on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Declined {
    /// The operator paused the node.
    Paused,
    /// It is outside its hours.
    Hours,
    /// It runs other images only.
    Image,
    /// It works for other requesters only.
    Requester,
}

impl Admission {
    /// Why the node may never bid on this job, as long as its settings stay; empty if it may.
    pub fn declines(&self, job: &Job) -> Vec<Declined> {
        let image = (!self.admits_image(&job.spec)).then_some(Declined::Image);
        let requester = (!self.admits_requester(job.requester)).then_some(Declined::Requester);
        image.into_iter().chain(requester).collect()
    }

    /// Whether the node takes on work at this time.
    pub fn is_open(&self, now: Timestamp) -> bool {
        hours::is_open(&self.hours, now)
    }

    /// When that changes next; `None` if it never does.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        hours::next_change(&self.hours, now)
    }

    fn admits_requester(&self, requester: NodeId) -> bool {
        let id = requester.to_string();
        self.requesters.is_empty() || self.requesters.iter().any(|pattern| pattern.matches(&id))
    }

    /// By what runs: the repository and the digest that the spec pins. Its other name is the requester's word alone.
    fn admits_image(&self, spec: &Spec) -> bool {
        if self.images.is_empty() {
            return true;
        }
        let names = spellings(&spec.image);
        self.images.iter().any(|pattern| names.iter().any(|name| pattern.matches(name)))
    }
}

/// The ways to write a pinned image: its repository, in full and as users write it, with and without its digest, and the digest.
fn spellings(image: &str) -> Vec<String> {
    let Ok(name) = ImageName::parse(image) else { return vec![image.to_owned()] };
    let Some(digest) = name.digest() else { return vec![image.to_owned()] };
    let (registry, path) = (name.registry(), name.path());
    let mut names = if registry == DEFAULT_REGISTRY {
        let short = path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path);
        let full = if short.contains('/') { short.to_owned() } else { format!("library/{short}") };
        vec![format!("{registry}/{full}"), short.to_owned()]
    } else {
        vec![format!("{registry}/{path}")]
    };
    names.extend(names.clone().into_iter().map(|name| format!("{name}@{digest}")));
    names.push(digest.to_owned());
    names
}

impl Together {
    /// Whether containers with these limits may run at the same time.
    pub fn has_room_for(&self, asked: impl Iterator<Item = Resources>) -> bool {
        let (mut memory, mut cpus, mut disk) = (0_u64, 0_u64, 0_u64);
        for Resources { memory_bytes, cpu_millis, disk_bytes, scratch_bytes, .. } in asked {
            memory = memory.saturating_add(memory_bytes);
            cpus = cpus.saturating_add(cpu_millis.into());
            disk = disk.saturating_add(disk_bytes).saturating_add(scratch_bytes);
        }
        self.memory_bytes.is_none_or(|most| memory <= most)
            && self.cpu_millis.is_none_or(|most| cpus <= most.into())
            && self.disk_bytes.is_none_or(|most| disk <= most)
    }

    /// The most that one container may ask for within these bounds.
    #[must_use]
    pub fn cap(&self, most: Resources) -> Resources {
        Resources {
            memory_bytes: self.memory_bytes.map_or(most.memory_bytes, |all| all.min(most.memory_bytes)),
            cpu_millis: self.cpu_millis.map_or(most.cpu_millis, |all| all.min(most.cpu_millis)),
            disk_bytes: self.disk_bytes.map_or(most.disk_bytes, |all| all.min(most.disk_bytes)),
            scratch_bytes: self.disk_bytes.map_or(most.scratch_bytes, |all| all.min(most.scratch_bytes)),
            ..most
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixture::{deal, open_spec};

    fn job(image: &str, requester: NodeId) -> Job {
        let spec = Spec { image: image.to_owned(), ..Spec::sample() };
        open_spec(&spec, requester, 0, 1000, deal())
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn images_are_admitted_by_repository_or_digest_however_they_are_spelled() {
        let digest = "ab".repeat(32);
        let requester = NodeId::new([7; 20]);
        let admits = |pattern: &str, image: &str| {
            let admission = Admission { images: patterns(&[pattern]), ..Admission::default() };
            admission.declines(&job(&format!("{image}@sha256:{digest}"), requester)).is_empty()
        };
        for (pattern, image) in [
            ("python", "python"),
            ("python", "docker.io/library/python"),
            ("docker.io/library/python", "python"),
            ("docker.io/*", "assay/demo"),
            ("assay/*", "assay/demo"),
            ("ghcr.io/me/*", "ghcr.io/me/tool"),
            ("*@sha256:abab*", "assay/demo"),
        ] {
            assert!(admits(pattern, image), "{pattern} {image}");
        }
        for (pattern, image) in
            [("python", "evil/python"), ("assay/*", "ghcr.io/assay/demo"), ("ghcr.io/me/*", "ghcr.io/me2/x")]
        {
            assert!(!admits(pattern, image), "{pattern} {image}");
        }
    }

    #[test]
    fn the_name_that_a_requester_gives_an_image_admits_nothing() {
        let spec = Spec {
            image: format!("evil/tool@sha256:{}", "ab".repeat(32)),
            image_name: "assay/demo:1".to_owned(),
            ..Spec::sample()
        };
        let job = open_spec(&spec, NodeId::new([7; 20]), 0, 1000, deal());
        let admission = Admission { images: patterns(&["assay/*"]), ..Admission::default() };
        assert_eq!(admission.declines(&job), [Declined::Image]);
    }

    #[test]
    fn requesters_are_admitted_by_address_and_every_reason_is_told() {
        let image = format!("assay/demo@sha256:{}", "ab".repeat(32));
        let admission = Admission {
            images: patterns(&["other/*"]),
            requesters: patterns(&["0x0707*", "0x08*"]),
            ..Admission::default()
        };
        assert_eq!(admission.declines(&job(&image, NodeId::new([7; 20]))), [Declined::Image]);
        let both = [Declined::Image, Declined::Requester];
        assert_eq!(admission.declines(&job(&image, NodeId::new([9; 20]))), both);
        assert_eq!(Admission::default().declines(&job(&image, NodeId::new([9; 20]))), []);
    }

    #[test]
    fn containers_together_stay_below_every_bound() {
        let one = Resources { memory_bytes: 4, cpu_millis: 1000, disk_bytes: 10, ..Resources::default() };
        let room = |together: Together, count: usize| together.has_room_for(std::iter::repeat_n(one, count));
        assert!(room(Together::default(), 1000));
        let memory = Together { memory_bytes: Some(8), ..Together::default() };
        assert!(room(memory, 2) && !room(memory, 3));
        let cpus = Together { cpu_millis: Some(2999), ..Together::default() };
        assert!(room(cpus, 2) && !room(cpus, 3));
        let disk = Together { disk_bytes: Some(9), ..Together::default() };
        assert!(!room(disk, 1));
        assert_eq!(disk.cap(one).disk_bytes, 9);
        assert_eq!(memory.cap(one).memory_bytes, 4);
    }
}
