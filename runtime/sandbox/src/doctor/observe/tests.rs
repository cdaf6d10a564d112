//! Readers against temporary trees.

use super::modules::ModuleState::{Blocked, BuiltIn, Loadable, Loaded, Unreachable};
use super::*;
use crate::doctor::Needs;
use crate::host::root::tree::Tree;

fn states(files: &[(&str, &str)]) -> Vec<modules::ModuleState> {
    let tree = Tree::new(files);
    modules::read(&tree.root(), "6.1").into_iter().map(|module| module.state).collect()
}

const DEP: (&str, &str) = (
    "/lib/modules/6.1/modules.dep",
    "kernel/crypto/algif_aead.ko.xz: kernel/crypto/af_alg.ko.xz\nkernel/net/ipv4/esp4.ko:\nkernel/net/ipv6/esp6.ko:\nkernel/net/rxrpc/rxrpc.ko.zst:\n",
);

#[test]
fn each_module_is_where_modprobe_would_find_it() {
    let files = [
        DEP,
        ("/proc/modules", ""),
        ("/lib/modules/6.1/modules.builtin", "kernel/crypto/af-alg.ko\n"),
        ("/sys/module/esp4/refcnt", "0"),
        ("/etc/modprobe.d/a.conf", "# blacklist esp4\nblacklist algif-aead\n"),
        ("/etc/modprobe.d/b.conf", "install esp6 /bin/false\ninstall rxrpc /sbin/modprobe rxrpc\n"),
        ("/etc/modprobe.d/c.bak", "blacklist rxrpc\n"),
    ];
    // In the order of their names: af_alg, algif_aead, esp4, esp6, rxrpc.
    assert_eq!(states(&files), [BuiltIn, Blocked, Loaded, Blocked, Loadable]);
}

#[test]
fn where_no_module_can_be_loaded_the_ones_on_disk_are_unreachable() {
    let closed = [Unreachable; 5];
    assert_eq!(states(&[DEP]), closed, "no /proc/modules");
    let disabled = ("/proc/sys/kernel/modules_disabled", "1\n");
    assert_eq!(states(&[DEP, ("/proc/modules", ""), disabled]), closed);
    assert_eq!(states(&[DEP, ("/proc/modules", ""), ("/proc/cmdline", "quiet nomodule x\n")]), closed);
    let listed = ("/proc/cmdline", "modprobe.blacklist=esp4,rxrpc\n");
    let expected = [Unreachable, Loadable, Blocked, Loadable, Blocked];
    assert_eq!(states(&[DEP, ("/proc/modules", ""), listed]), expected);
}

#[test]
fn accounts_come_from_their_files() {
    let files = [
        ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n+nis\nann:x:1000:1000::/home/ann:/bin/sh\n"),
        ("/etc/group", "root:x:0:\ndocker:x:998:ann\n"),
        ("/etc/subuid", "ann:100000:65536\nbroken:1\n"),
    ];
    let accounts = Accounts::read(&Tree::new(&files).root());
    assert_eq!(accounts.users, [("root".to_owned(), 0), ("ann".to_owned(), 1000)]);
    let ann = accounts::SubIds { owner: "ann".into(), first: 100_000, count: 65_536 };
    assert_eq!(
        (accounts.sub_uids.as_slice(), accounts.sub_gids.as_slice()),
        ([ann].as_slice(), [].as_slice())
    );
    assert_eq!((accounts.group_name(998), accounts.group_name(7)), ("docker".to_owned(), "7".to_owned()));
}

#[test]
fn a_device_number_comes_apart() {
    assert_eq!(split_device(0x0103), (1, 3));
    // Minor 0x12345 and major 0x678, as makedev(3) puts them together.
    assert_eq!(split_device(0x0000_0000_1236_7845), (0x678, 0x12345));
}

#[test]
fn a_plain_file_is_no_device() {
    let tree = Tree::new(&[("/dev/null", "")]);
    assert_eq!((device(&tree.root(), "null"), device(&tree.root(), "zero")), (None, None));
    assert_eq!(device(&HostRoot::default(), "null"), Some((1, 3)));
}

#[test]
fn a_host_is_read_into_observations() {
    let files = [
        ("/proc/self/status", "Uid:\t5\t5\t5\t5\nGid:\t6\t6\t6\t6\nGroups:\t7\nCapEff:\t0\n"),
        ("/proc/self/ns/user", ""),
        ("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n"),
        ("/proc/sys/kernel/core_pattern", "|/usr/bin/helper %p\n"),
        ("/proc/sys/kernel/pid_max", "4194304\n"),
        ("/usr/bin/newuidmap", ""),
        ("/var/lib/other", ""),
    ];
    let tree = Tree::new(&files);
    let needs = Needs { walls: BTreeMap::new(), landlock_abi_min: 1, paths: vec![] };
    let context = Context {
        needs: &needs,
        uids: UidRange { first: 0x7000_0000, count: 65_536 },
        state_dir: Path::new("/var/lib/runtime/state"),
        attempts: None,
    };
    let seen = Observations::read(&tree.root(), HostFacts::default(), None, &context).unwrap();
    assert_eq!((seen.identity.uid, seen.identity.groups.as_slice()), (5, [7].as_slice()));
    assert_eq!(
        (seen.swaps.as_slice(), seen.namespaces.as_slice()),
        (["/dev/sda2".to_owned()].as_slice(), ["user".to_owned()].as_slice())
    );
    assert_eq!(seen.setting("/proc/sys/kernel/core_pattern"), Some("|/usr/bin/helper %p"));
    assert_eq!(seen.number("/proc/sys/kernel/pid_max"), Some(4_194_304));
    assert_eq!(seen.number("/proc/sys/kernel/yama/ptrace_scope"), None);
    assert_eq!((seen.state_dir.as_path(), seen.idmap), (Path::new("/var/lib"), None));
    assert_eq!(seen.map_helpers, ["newuidmap"]);
    assert!(seen.now_seconds > 1_700_000_000);
}
