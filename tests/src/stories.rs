//! A story told twice: by root, and by an ordinary user.

use crate::{Stage, Who, skip};

/// Makes two tests of each story `fn(&Stage)`: `rootful::…` and `rootless::…`. For the tests of this package only: the program
/// under test is the one that cargo built for them.
#[macro_export]
macro_rules! stories {
    ($($story:ident),+ $(,)?) => {
        mod rootful {
            $(#[test]
            fn $story() {
                let path = concat!(module_path!(), "::", stringify!($story));
                $crate::tell($crate::Who::Root, path, env!("CARGO_BIN_EXE_runtime-under-test"), super::$story);
            })+
        }
        mod rootless {
            $(#[test]
            fn $story() {
                let path = concat!(module_path!(), "::", stringify!($story));
                $crate::tell($crate::Who::User, path, env!("CARGO_BIN_EXE_runtime-under-test"), super::$story);
            })+
        }
    };
}

/// Tells a story on a stage of its own, or says why this host cannot.
pub fn tell(who: Who, path: &str, program: &str, story: impl FnOnce(&Stage)) {
    match who.missing() {
        Some(reason) => skip(path, reason),
        None => story(&Stage::new(who, &[("runtime", program)])),
    }
}
