//! What a measurement belongs to.

use serde::Serialize;

use crate::batch::kernels::Isa;

/// The machine, as this process uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Model of the processor; `unknown` where the system does not say.
    pub cpu: String,
    /// Architecture and system.
    pub platform: String,
    /// The instruction set that the engine uses.
    pub instruction_set: &'static str,
    /// Worker threads.
    pub threads: usize,
}

impl Machine {
    /// This one, with the threads of the current pool.
    pub fn here() -> Self {
        Self {
            cpu: cpu_model().unwrap_or_else(|| "unknown".to_owned()),
            platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            instruction_set: Isa::best().name(),
            threads: rayon::current_num_threads(),
        }
    }
}

/// Model of the processor; `None` where the system does not say (only Linux does).
pub fn cpu_model() -> Option<String> {
    field(&std::fs::read_to_string("/proc/cpuinfo").ok()?, "model name").map(str::to_owned)
}

/// Most memory that this process has held so far, in bytes; `None` where the system does not say (only Linux does).
pub fn peak_memory() -> Option<u64> {
    let kibibytes = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes: u64 = field(&kibibytes, "VmHWM")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What follows the name and the colon, on the first line that begins with the name.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().strip_prefix(':')?.trim())
}

/// CPU seconds of this process so far, all threads added up; `None` where the system does not say.
pub fn cpu_seconds() -> Option<f64> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmHWMore: 3 kB\nVmHWM:\t  12 kB\nVmHWM: 13 kB\n";
        assert_eq!(field(text, "VmHWMore"), Some("3 kB"));
        assert_eq!(field("model name\t: A CPU\n", "model name"), Some("A CPU"));
        assert_eq!(field("", "VmHWM"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_time_are_known() {
        let (memory, time) = (peak_memory().unwrap(), cpu_seconds().unwrap());
        let numbers = std::hint::black_box(vec![1_u64; 8 << 20]);
        assert!(peak_memory().unwrap() >= memory.max(64 << 20));
        assert!(numbers.iter().sum::<u64>() > 0 && cpu_seconds().unwrap() > time);
    }
}
