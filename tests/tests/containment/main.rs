//! What a job cannot do: a file per wall, a story per test. Each story is tried from inside by the program `probe`, rootful
//! and rootless, behind all walls, and again without the walls that it names, where it must succeed.

mod capabilities;
mod cgroup;
mod cgroup_namespace;
mod facts;
mod host;
mod idmap;
mod ipc;
mod landlock;
mod list;
mod masked_proc;
mod mount;
mod net;
mod no_new_privs;
mod no_switch;
mod pid;
mod probes;
mod profiles;
mod read_only_root;
mod rlimits;
mod seccomp;
mod terminal;
mod uid_per_job;
mod user;
mod uts;

/// Makes two tests of each story, one as root and one as an ordinary user, and the list of all probes that the file is about.
macro_rules! stories {
    ($($(#[$doc:meta])* $name:ident => [$($id:literal),+ $(,)?]),+ $(,)?) => {
        /// The probes of this file.
        pub const PROBES: &[&[&str]] = &[$(&[$($id),+]),+];
        $(
            $(#[$doc])*
            mod $name {
                #[test]
                fn rootful() {
                    let test = concat!(module_path!(), "::rootful");
                    crate::probes::assert_story(test, runtime_tests::Who::Root, &[$($id),+]);
                }
                #[test]
                fn rootless() {
                    let test = concat!(module_path!(), "::rootless");
                    crate::probes::assert_story(test, runtime_tests::Who::User, &[$($id),+]);
                }
            }
        )+
    };
}
pub(crate) use stories;
