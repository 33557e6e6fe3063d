//! Watches one container while it runs: its memory, CPU time and page faults, and what it writes to `/outputs`.
//!
//! It has its own thread, because readings block for up to tens of milliseconds on a busy machine and their times are the
//! data. [`Sampler::finish`], or dropping the sampler, stops it.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    super::{Reading, Trace},
    cgroup::{Cgroup, Usage},
    meter::{DiskProblem, Meter},
};

/// Pause between two readings. The trace needs 50 ms or less. A reading takes 0.15 ms, so this is 0.4 % of one CPU.
const PERIOD: Duration = Duration::from_millis(40);

/// The most readings of one run: nearly three hours at [`PERIOD`]. When it is reached, every second reading is dropped and
/// the period doubles, so a trace of any length takes at most 8 MiB.
const MAX_READINGS: usize = 1 << 18;

/// A running sampler.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: SyncSender<()>,
    thread: JoinHandle<Observed>,
}

/// What a sampler observed.
#[derive(Debug, Default)]
pub(super) struct Observed {
    readings: Vec<(Instant, Usage)>,
    /// The first problem with `/outputs`.
    pub(super) disk: Option<DiskProblem>,
}

impl Sampler {
    /// Starts watching. The receiver gets the first [`DiskProblem`].
    ///
    /// Without a cgroup (the run ended before it was found) it watches only the disk.
    pub(super) fn start(cgroup: Option<Cgroup>, meter: Meter) -> (Self, oneshot::Receiver<()>) {
        let (stop, stopped) = sync_channel(0);
        let (exceeded, on_exceeded) = oneshot::channel();
        let thread = spawn_blocking(move || watch(cgroup.as_ref(), meter, &stopped, exceeded));
        (Self { stop, thread }, on_exceeded)
    }

    /// Stops after one last look.
    ///
    /// # Errors
    /// When the thread panicked, or the runtime is shutting down.
    pub(super) async fn finish(self) -> io::Result<Observed> {
        drop(self.stop);
        self.thread.await.map_err(io::Error::other)
    }
}

fn watch(
    cgroup: Option<&Cgroup>,
    mut meter: Meter,
    stopped: &Receiver<()>,
    exceeded: oneshot::Sender<()>,
) -> Observed {
    let mut observed = Observed::default();
    let mut exceeded = Some(exceeded);
    let mut period = PERIOD;
    let mut pause = Duration::ZERO;
    loop {
        let last = match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
        };
        if let Some(usage) = cgroup.and_then(|cgroup| cgroup.read().ok()) {
            observed.keep(Instant::now(), usage, &mut period);
        }
        if observed.disk.is_none() {
            let pids = || cgroup.map(Cgroup::pids).unwrap_or_default();
            observed.disk = if last { meter.finish() } else { meter.look(pids) };
            if let Some(exceeded) = exceeded.take_if(|_| observed.disk.is_some()) {
                // Nobody listens if the run ended in the same moment; `observed` has it too.
                let _ = exceeded.send(());
            }
        }
        if last {
            return observed;
        }
        pause = period;
    }
}

impl Observed {
    fn keep(&mut self, now: Instant, usage: Usage, period: &mut Duration) {
        if self.readings.len() >= MAX_READINGS {
            let mut odd = false;
            self.readings.retain(|_| {
                odd = !odd;
                odd
            });
            *period *= 2;
        }
        self.readings.push((now, usage));
    }

    /// Whether not one reading succeeded of a run that was long enough for many.
    pub(super) fn saw_nothing_of(&self, duration: Duration) -> bool {
        self.readings.is_empty() && duration > PERIOD * 50
    }

    /// Whether the kernel killed a process of the run for lack of memory, by the readings.
    pub(super) fn oom_killed(&self) -> bool {
        self.readings.last().is_some_and(|(_, usage)| usage.oom_kills > 0)
    }

    /// The readings on the run's own clock. Of two in one millisecond the later is left out, so times increase.
    pub(super) fn trace(&self, started: Instant, duration: Duration) -> Trace {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let mut readings: Vec<Reading> = Vec::with_capacity(self.readings.len());
        for (taken, usage) in &self.readings {
            let t_ms = millis(taken.saturating_duration_since(started));
            if readings.last().is_none_or(|last| last.t_ms < t_ms) {
                let Usage { rss_kib, cpu_ms, faults, oom_kills: _ } = *usage;
                readings.push(Reading { t_ms, rss_kib, cpu_ms, faults });
            }
        }
        let (cpu_ms, faults) = self.readings.last().map_or((0, 0), |(_, usage)| (usage.cpu_ms, usage.faults));
        Trace { readings, duration_ms: millis(duration), cpu_ms, faults }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::space::{Bound, Space},
        *,
    };

    const USAGE: Usage = Usage { rss_kib: 7, cpu_ms: 9, faults: 5, oom_kills: 0 };

    #[test]
    fn a_full_trace_is_thinned_and_then_taken_half_as_often() {
        let begin = Instant::now();
        let mut observed = Observed::default();
        let mut period = PERIOD;
        for n in 0..=u32::try_from(MAX_READINGS).unwrap() {
            observed.keep(begin + PERIOD * n, USAGE, &mut period);
        }
        assert_eq!(observed.readings.len(), MAX_READINGS / 2 + 1);
        assert_eq!(period, PERIOD * 2);
        assert_eq!(observed.readings[1].0, begin + PERIOD * 2);
        let times: Vec<_> = observed.readings.iter().map(|(taken, _)| *taken).collect();
        assert!(times.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_long_run_without_a_reading_is_told_from_a_short_one() {
        let begin = Instant::now();
        let (long, short) = (Duration::from_secs(10), Duration::from_millis(10));
        let blind = Observed::default();
        assert!(blind.saw_nothing_of(long) && !blind.saw_nothing_of(short));
        let seen = Observed { readings: vec![(begin, USAGE)], disk: None };
        assert!(!seen.saw_nothing_of(long));
    }

    #[test]
    fn times_in_a_trace_strictly_increase() {
        let begin = Instant::now();
        let at = |micros| (begin + Duration::from_micros(micros), USAGE);
        let observed = Observed { readings: vec![at(100), at(900), at(1_000), at(41_000)], disk: None };
        let trace = observed.trace(begin, Duration::from_millis(50));
        let times: Vec<_> = trace.readings.iter().map(|reading| reading.t_ms).collect();
        assert_eq!(times, [0, 1, 41]);
        assert_eq!((trace.duration_ms, trace.cpu_ms, trace.faults), (50, 9, 5));
    }

    #[tokio::test]
    async fn a_full_disk_is_told_while_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let [outputs, volumes] = ["outputs", "volumes"].map(|name| dir.path().join(name));
        std::fs::create_dir(&outputs).unwrap();
        std::fs::create_dir(&volumes).unwrap();
        let space = Space { outputs, volumes, bound: Bound::Measured, under: None };
        let (sampler, exceeded) = Sampler::start(None, Meter::new(&space, None, 100_000).unwrap());
        std::fs::write(space.outputs.join("large"), vec![7; 200_000]).unwrap();
        tokio::time::timeout(Duration::from_secs(10), exceeded).await.unwrap().unwrap();
        assert!(matches!(sampler.finish().await.unwrap().disk, Some(DiskProblem::Bytes { .. })));
    }
}
