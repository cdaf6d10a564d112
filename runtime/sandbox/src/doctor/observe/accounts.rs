//! Users, groups and subordinate ids of the host: passwd(5), group(5), subuid(5).
//!
//! Only the files are read: a directory service of a network is not asked.

use crate::host::root::HostRoot;

/// The host's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Name and uid of each user.
    pub users: Vec<(String, u32)>,
    /// Name and gid of each group.
    pub groups: Vec<(String, u32)>,
    /// Ranges of /etc/subuid.
    pub sub_uids: Vec<SubIds>,
    /// Ranges of /etc/subgid.
    pub sub_gids: Vec<SubIds>,
}

/// A range of subordinate ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubIds {
    /// Name or number of the user to whom they belong.
    pub owner: String,
    /// The first id.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Accounts {
    /// Reads the four files; one that is absent has no entries.
    pub fn read(root: &HostRoot) -> Accounts {
        Accounts {
            users: named_ids(root, "/etc/passwd"),
            groups: named_ids(root, "/etc/group"),
            sub_uids: ranges(root, "/etc/subuid"),
            sub_gids: ranges(root, "/etc/subgid"),
        }
    }

    /// The name of a group, or its number.
    pub fn group_name(&self, gid: u32) -> String {
        let known = self.groups.iter().find(|(_, number)| *number == gid);
        known.map_or_else(|| gid.to_string(), |(name, _)| name.clone())
    }
}

/// `name:password:id:…`
fn named_ids(root: &HostRoot, path: &str) -> Vec<(String, u32)> {
    let text = root.text(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name.to_owned(), fields.nth(1)?.parse().ok()?))
    });
    lines.collect()
}

/// `owner:first:count`
fn ranges(root: &HostRoot, path: &str) -> Vec<SubIds> {
    let text = root.text(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?.to_owned();
        Some(SubIds { owner, first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? })
    });
    lines.collect()
}
