//! Who holds a lease: a process, told apart from every other that ever had its number.

use std::sync::OnceLock;

/// This process: `host/boot:pid:start`, start in the system's own count. `boot` is a part of a number that a machine draws whenever it starts, so that two
/// machines of one name (clones, `localhost`) never judge each other's processes. Inside a container it carries the number of the process space, too.
pub fn me() -> &'static str {
    static ME: OnceLock<String> = OnceLock::new();
    ME.get_or_init(|| {
        let pid = std::process::id();
        format!("{}:{pid}:{}", system::here(), system::start(pid).unwrap_or(0))
    })
}

/// Whether `holder` was a process of this machine that is no more. `false` also for whatever cannot be known: another machine's
/// process, a text that is no holder, a system without `/proc`.
pub fn is_dead_here(holder: &str) -> bool {
    here(holder).is_some_and(|(pid, start)| system::start(pid) != Some(start))
}

/// Whether [`is_dead_here`] knows: `holder` is or was a process of this machine.
pub(super) fn is_seen_from_here(holder: &str) -> bool {
    here(holder).is_some()
}

/// Number and start of a process of this machine, where such can be looked up.
fn here(holder: &str) -> Option<(u32, u64)> {
    let (process, start) = holder.rsplit_once(':')?;
    let (host, pid) = process.rsplit_once(':')?;
    let found = (pid.parse().ok()?, start.parse().ok()?);
    (system::KNOWS && host == system::here()).then_some(found)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    /// The process space of a machine outside of all containers (the kernel's PROC_PID_INIT_INO).
    const OUTERMOST: &str = "pid:[4026531836]";

    pub(super) const KNOWS: bool = true;

    /// As much of the boot's number as tells few machines apart.
    const BOOT: usize = 8;

    pub(super) fn here() -> String {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(BOOT).collect();
        let space = fs::read_link("/proc/self/ns/pid").map(|space| space.to_string_lossy().into_owned()).unwrap_or_default();
        let inside = if space.is_empty() || space == OUTERMOST { "" } else { space.trim_start_matches("pid:") };
        format!("{}/{boot}{inside}", host.trim())
    }

    /// Clock ticks from boot to the start of a process; `None` if it is not there or has ended and only waits for its parent.
    pub(super) fn start(pid: u32) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold any character; after it come the state (field 3) and so on to the start (field 22).
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) const KNOWS: bool = false;

    pub(super) fn here() -> String {
        std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).unwrap_or_else(|_| "here".into())
    }

    pub(super) fn start(_pid: u32) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_what_cannot_be_known_is_not_called_dead() {
        for holder in [me(), "elsewhere:1:1", "", "x", "a:b:c", ":::"] {
            assert!(!is_dead_here(holder), "{holder}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_machine_of_our_name_is_not_judged() {
        let (process, _start) = me().rsplit_once(':').unwrap();
        let (host, pid) = process.rsplit_once(':').unwrap();
        let (name, boot) = host.split_once('/').unwrap();
        assert!(boot.len() >= 8 && is_dead_here(&format!("{host}:{pid}:1")), "ours, with a number that was another's: {host}");
        for other in [format!("{name}/00000000:{pid}:1"), format!("{name}:{pid}:1")] {
            assert!(!is_dead_here(&other) && !is_seen_from_here(&other), "{other}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_ended_is_dead_also_while_its_parent_looks_away_and_when_another_has_its_number() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let start = system::start(child.id()).unwrap();
        let holder = format!("{}:{}:{start}", system::here(), child.id());
        assert!(!is_dead_here(&holder));
        assert!(is_dead_here(&format!("{}:{}:{}", system::here(), child.id(), start + 1)));
        child.kill().unwrap();
        let ended = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            is_dead_here(&holder)
        });
        assert!(ended, "an unreaped child counts as dead");
        child.wait().unwrap();
        assert!(is_dead_here(&holder));
    }
}
