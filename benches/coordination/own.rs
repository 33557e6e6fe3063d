//! What the kernel counts of this process.

use std::fs;

use crate::Outcome;

/// Memory that is resident and not a file's.
pub(crate) fn rss_kib() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("the kernel names no RssAnon")?;
    Ok(number.parse()?)
}

/// CPU time of all threads since the start, in milliseconds. The kernel counts it in ticks of 10 ms.
pub(crate) fn cpu_ms() -> Outcome<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("the kernel names no CPU time")?;
    // User and system time are the 14th and 15th field, the process id being the first and its name the second.
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks * 10)
}
