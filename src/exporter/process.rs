//! What this process itself costs, under the names that Prometheus' own clients use.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Opts};

const CPU: &str = "process_cpu_seconds_total";
/// Ticks a second of the times in `/proc`: the kernel's `USER_HZ`, 100 on every architecture that Rust's Linux targets have.
const TICKS_A_SECOND: f64 = 100.0;

/// The collector of the `prometheus` crate, whose CPU time is in whole seconds: an exporter that needs a second in an hour
/// would show zero for an hour, and `rate()` of it nothing. So this one series is ours.
pub(super) struct Process {
    rest: ProcessCollector,
    cpu: Counter,
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let cpu =
            Counter::with_opts(Opts::new(CPU, "CPU time of this process, user and system, in seconds."))?;
        Ok(Self { rest: ProcessCollector::for_self(), cpu })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let rest = self.rest.desc().into_iter().filter(|desc| desc.fq_name != CPU);
        rest.chain(self.cpu.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Where /proc cannot be read there is no number, here as in the crate.
        if let Some(seconds) =
            std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds)
        {
            // Two scrapes at once may have read in the other order: a counter never falls.
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        let rest = self.rest.collect().into_iter().filter(|family| family.name() != CPU);
        rest.chain(self.cpu.collect()).collect()
    }
}

/// User and system time out of `/proc/PID/stat`: the 14th and 15th field. The second, the program's name in brackets, may
/// have blanks and brackets in it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "42 (a ) 7 b) S 1 42 42 0 -1 4194560 900 0 3 0 17 5 0 0 20 0 1 0 12345 1000 200";
        assert_eq!(cpu_seconds(stat), Some(0.22));
        assert_eq!(cpu_seconds("42 (a) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn hundredths_of_seconds_are_shown_and_only_once() {
        let process = Process::new().unwrap();
        let own = || cpu_seconds(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        // Something to be shown: at most a second of work, mostly some hundredths.
        while own().fract() < 0.02 {
            std::hint::black_box((0..100_000u64).sum::<u64>());
        }
        let before = own();
        let families = process.collect();
        let cpu: Vec<_> = families.iter().filter(|family| family.name() == CPU).collect();
        assert_eq!(cpu.len(), 1);
        let shown = cpu[0].get_metric()[0].get_counter().get_value();
        assert!((before..=own()).contains(&shown), "{before} {shown}");
        assert_eq!(families.len(), process.desc().len());
    }
}
