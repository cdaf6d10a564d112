//! The server is treated as hostile: whatever it sends, it gets no host path, no filter, no uid and no ceiling, the launcher
//! does not crash, and nothing is left behind. The program `hostile` plays it.

mod links;
mod messages;
mod play;
mod rights;
mod starts;
mod successors;

/// Makes two tests of a story: as root and as an ordinary user.
macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[test]
                fn rootful() {
                    let test = concat!(module_path!(), "::rootful");
                    crate::play::as_whom(test, runtime_tests::Who::Root, super::$name);
                }
                #[test]
                fn rootless() {
                    let test = concat!(module_path!(), "::rootless");
                    crate::play::as_whom(test, runtime_tests::Who::User, super::$name);
                }
            }
        )+
    };
}
pub(crate) use both;
