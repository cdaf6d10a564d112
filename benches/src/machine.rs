//! What a reader must know to judge the numbers: the host, the build, what was running beside us.

use crate::error::Error;
use runtime_proto::v1::InfoResponse;
use runtime_sys::proc;
use serde_json::{Value, json};

/// The circumstances of a run.
#[derive(Debug)]
pub struct Machine {
    kernel: String,
    cpus: usize,
    load: String,
    info: InfoResponse,
}

impl Machine {
    /// Looks at the host; the rest the daemon has told.
    pub fn look(info: InfoResponse) -> Result<Machine, Error> {
        let kernel = proc::kernel_release()
            .map_err(|source| Error::Kernel { act: "ask for the kernel's release", source })?;
        let cpus = std::thread::available_parallelism().map_err(Error::io("count the cpus"))?.get();
        Ok(Machine { kernel, cpus, load: load()?, info })
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let rights = if self.info.rootful { "as root" } else { "as an ordinary user" };
        vec![
            format!(
                "host: kernel {}, {} cpus; cgroups that jobs use: {}",
                self.kernel, self.cpus, self.info.cgroup_version
            ),
            format!("load before the run (1, 5, 15 min): {}", self.load),
            format!("runtime {}, {} build, {rights}", self.info.version, build()),
        ]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "kernel": self.kernel,
            "cpus": self.cpus,
            "cgroup_version": self.info.cgroup_version,
            "load_before": self.load,
            "version": self.info.version,
            "rootful": self.info.rootful,
            "build": build(),
        })
    }
}

/// How this program was built; `runtime` is taken from beside it, so it is the same.
const fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// How many processes ran or wanted to, over 1, 5 and 15 minutes.
pub fn load() -> Result<String, Error> {
    let load = std::fs::read_to_string("/proc/loadavg").map_err(Error::io("read the load"))?;
    Ok(load_of(&load))
}

/// The three averages of /proc/loadavg (proc(5)).
fn load_of(text: &str) -> String {
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_three_numbers() {
        assert_eq!(load_of("0.20 0.18 0.12 1/80 11206\n"), "0.20 0.18 0.12");
    }
}
