//! What this machine is, as far as it can change a result or a run's time.

use imagefleet_common::{Context, Result};
use imagefleet_retrieval::results::Machine;
use std::{ffi::CString, fs, os::unix::ffi::OsStrExt, path::Path, thread};

/// As the kernel says; what it does not say stays empty.
pub fn this_machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    Machine {
        system: format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH).replace("  ", " "),
        processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_default().to_owned(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory(&read("/proc/meminfo")).unwrap_or_default(),
    }
}

/// Bytes of the disk below this folder that an unprivileged process may still fill.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let doing = || format!("look for room at {}", folder.display());
    let path = CString::new(folder.as_os_str().as_bytes()).permanent(doing)?;
    // SAFETY: every field of `statvfs` is a number, for which zero is a value.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values; the call writes nothing but the second.
    let status = unsafe { libc::statvfs(path.as_ptr(), &raw mut found) };
    match status {
        0 => Ok(found.f_bavail * found.f_frsize),
        _ => Err(std::io::Error::last_os_error()).permanent(doing),
    }
}

/// The first `name : value` of the text.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

fn memory(meminfo: &str) -> Option<u64> {
    let kilobytes: u64 = value(meminfo, "MemTotal")?.strip_suffix(" kB")?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_by_name() {
        let cpus = "processor\t: 0\nmodel name\t: A Processor: 3000\n\nprocessor\t: 1\nmodel name\t: Another\n";
        assert_eq!(value(cpus, "model name"), Some("A Processor: 3000"));
        assert_eq!(value(cpus, "cache size"), None);
        assert_eq!(memory("MemFree:  1 kB\nMemTotal:       24600000 kB\n"), Some(24_600_000 * 1024));
        assert_eq!(memory("MemTotal: many\n"), None);
        assert!(this_machine().cores > 0);
        assert!(free_bytes(Path::new("/")).is_ok_and(|free| free > 0));
        assert!(free_bytes(Path::new("/there/is/no/such/folder")).is_err());
    }
}
