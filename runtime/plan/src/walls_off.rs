//! Walls that a containment test takes down, so that its probe is seen to succeed without them. Always empty in a release
//! build: only a debug build with the feature `walls-off` can make another one.

use crate::wall::Wall;
use std::collections::BTreeSet;

/// The reason that a plan gives for a wall that is down for a test.
pub const OFF_FOR_A_TEST: &str = "off for a test";

/// Walls that are taken down for a test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WallsOff {
    walls: BTreeSet<Wall>,
}

impl WallsOff {
    /// No wall is down.
    pub const fn none() -> WallsOff {
        WallsOff { walls: BTreeSet::new() }
    }

    /// Walls by name, with commas between; an empty text is none. Fails on the first name that is no wall.
    #[cfg(all(feature = "walls-off", debug_assertions))]
    pub fn parse(names: &str) -> Result<WallsOff, String> {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let walls = names
            .map(|name| Wall::from_name(name).ok_or_else(|| format!("{name:?} is no wall")))
            .collect::<Result<_, _>>()?;
        Ok(WallsOff { walls })
    }

    /// Whether this wall is down for a test.
    pub fn contains(&self, wall: Wall) -> bool {
        self.walls.contains(&wall)
    }

    /// Whether every wall may stand.
    pub fn is_empty(&self) -> bool {
        self.walls.is_empty()
    }
}
