//! Who we are: ids, groups and capabilities of this process, and whether that is root of the whole host.
//!
//! It must not change any of them.

use super::root::HostRoot;

/// Numbers of capabilities(7) that the launcher's work as root needs.
pub mod capability {
    /// Set any gid.
    pub const SETGID: u32 = 6;
    /// Set any uid.
    pub const SETUID: u32 = 7;
    /// Mounts, namespaces, id maps.
    pub const SYS_ADMIN: u32 = 21;
    /// Lower an oom_score_adj, raise hard limits.
    pub const SYS_RESOURCE: u32 = 24;
}

/// How many ids there are: a map of that length is the one of the initial user namespace.
const ALL_IDS: u64 = u32::MAX as u64;

/// What `/proc/self` says of us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Real uid.
    pub uid: u32,
    /// Effective uid.
    pub euid: u32,
    /// Real gid.
    pub gid: u32,
    /// Effective gid.
    pub egid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Effective capabilities, bit n for number n.
    pub capabilities: u64,
    /// Every uid and gid of the host is mapped where we run, so that a job can get one of its own.
    pub all_ids_mapped: bool,
}

impl Identity {
    /// Reads `/proc/self/status` and the id maps; `None` when they do not have their documented form.
    pub fn read(root: &HostRoot) -> Option<Identity> {
        let status = root.text("/proc/self/status")?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (uid, euid) = first_two(field("Uid:")?)?;
        let (gid, egid) = first_two(field("Gid:")?)?;
        let groups = field("Groups:")?.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        let capabilities = u64::from_str_radix(field("CapEff:")?, 16).ok()?;
        let all_ids_mapped = ["/proc/self/uid_map", "/proc/self/gid_map"]
            .iter()
            .all(|map| maps_all(root.text(map).as_deref()));
        Some(Identity { uid, euid, gid, egid, groups, capabilities, all_ids_mapped })
    }

    /// Whether a capability is effective.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }

    /// Whether we can do what the launcher does as root: give each job a host uid of its own.
    pub fn rootful(&self) -> bool {
        let needed = [capability::SYS_ADMIN, capability::SETUID, capability::SETGID];
        self.euid == 0 && self.all_ids_mapped && needed.iter().all(|number| self.has(*number))
    }
}

/// Real and effective id of a line of `/proc/PID/status`.
fn first_two(line: &str) -> Option<(u32, u32)> {
    let mut ids = line.split_whitespace().map(|id| id.parse().ok());
    Some((ids.next()??, ids.next()??))
}

/// A kernel without user namespaces has no such file, and all ids.
fn maps_all(map: Option<&str>) -> bool {
    let Some(map) = map else { return true };
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        numbers == [0, 0, ALL_IDS]
    })
}

#[cfg(test)]
mod tests {
    use super::super::root::tree::Tree;
    use super::*;

    const ROOT: &str =
        "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \nCapEff:\t000001fffeffffff\n";
    const USER: &str =
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t27 1000 \nCapEff:\t0\n";
    const INITIAL: &str = "         0          0 4294967295\n";
    const CONTAINER: &str = "         0     100000      65536\n";

    fn read(status: &str, map: &str) -> Option<Identity> {
        let files = [("/proc/self/status", status), ("/proc/self/uid_map", map), ("/proc/self/gid_map", map)];
        Identity::read(&Tree::new(&files).root())
    }

    #[test]
    fn root_with_its_capabilities_is_rootful() {
        let root = read(ROOT, INITIAL).unwrap();
        assert!(root.rootful());
        assert!(!root.has(capability::SYS_RESOURCE), "this mask lacks bit 24");
    }

    #[test]
    fn root_of_a_container_with_few_ids_or_without_capabilities_is_not() {
        assert!(!read(ROOT, CONTAINER).unwrap().rootful());
        assert!(!read(&ROOT.replace("1fffeffffff", "000a80425fb"), INITIAL).unwrap().rootful());
    }

    #[test]
    fn a_user_has_groups_and_is_not_rootful() {
        let user = read(USER, INITIAL).unwrap();
        assert!(!user.rootful());
        assert_eq!((user.euid, user.egid, user.groups), (1000, 1000, vec![27, 1000]));
    }

    #[test]
    fn a_status_without_its_lines_is_no_identity() {
        assert_eq!(read("Name:\tx\n", INITIAL), None);
    }
}
