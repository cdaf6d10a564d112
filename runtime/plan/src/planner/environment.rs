//! The environment: the profile's variables, TERM where there is a terminal, the caller's on top, and nothing of ours or of the
//! host's.

use crate::{profile::Profile, spec::Spec};
use std::collections::BTreeMap;

/// Where commands are looked for when neither profile nor caller says (the runtime's own default, as in passwd-less systems).
const PATH_DEFAULT: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// `NAME=value` in order of name, and the directories of its PATH. Relative ones are left out of the latter: a command is
/// never found by where the job happens to start.
pub(super) fn merge(profile: &Profile, spec: &Spec) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut variables: BTreeMap<&[u8], &[u8]> =
        profile.env.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    if let Some(terminal) = &spec.terminal {
        variables.insert(b"TERM", terminal.term.as_bytes());
    }
    variables.extend(spec.env.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
    let path = variables.get(b"PATH".as_slice()).copied().unwrap_or(PATH_DEFAULT);
    let directories = path.split(|&byte| byte == b':').filter(|part| part.first() == Some(&b'/'));
    let path = directories.map(<[u8]>::to_vec).collect();
    let env = variables.into_iter().map(|(name, value)| [name, b"=", value].concat());
    (env.collect(), path)
}
