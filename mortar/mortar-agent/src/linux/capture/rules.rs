//! The rules as nft reads them, and where cgroups are.

use std::fmt::Write as _;
use std::path::PathBuf;

/// From where nft takes the names of cgroups.
pub(super) const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// Loopback, so that every machine has a way there, and a part of it that nobody listens on: these stand for bricks.
pub(crate) const NAMES: [u8; 4] = [127, 64, 0, 0];
/// Bits of the part that stay the same.
pub(crate) const NAMES_PREFIX: u32 = 10;

/// One redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    /// The cgroup, from [`CGROUP_ROOT`].
    pub(super) cgroup: String,
    /// How deep it is in the hierarchy.
    pub(super) level: usize,
    /// Where on loopback its connections are led.
    pub(super) port: u16,
}

/// Makes the table what it should be. The chain stays while its rules are replaced, so that there is no moment without.
pub(super) fn text(table: &str, leads: &[Lead]) -> String {
    let [a, b, c, d] = NAMES;
    let mut text = format!(
        "add table inet {table}\n\
         add chain inet {table} output {{ type nat hook output priority -100; policy accept; }}\n\
         flush chain inet {table} output\n"
    );
    for Lead { cgroup, level, port } in leads {
        for to in [
            format!("ip daddr {a}.{b}.{c}.{d}/{NAMES_PREFIX}"),
            // The rest of loopback is the machine's own: control, telemetry, the brick itself.
            "ip daddr != 127.0.0.0/8".to_owned(),
            "ip6 daddr != ::1".to_owned(),
        ] {
            // Writing to a text does not fail.
            let _ = writeln!(
                text,
                "add rule inet {table} output socket cgroupv2 level {level} \"{cgroup}\" meta l4proto tcp {to} redirect to :{port}"
            );
        }
    }
    text
}

/// Takes the table away, whether it is there or not.
pub(super) fn none(table: &str) -> String {
    format!("add table inet {table}\ndelete table inet {table}\n")
}

/// Where cgroup v2 is mounted, of what `/proc/self/mounts` says (proc(5)).
pub(super) fn cgroup_mount(mounts: &str) -> Option<PathBuf> {
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let place = fields.find_map(|mut fields| {
        let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2" && place.starts_with(CGROUP_ROOT)).then_some(place)
    });
    place.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_alone_or_beside_the_first_version() {
        let check = |mounts: &str, expect: Option<&str>| {
            assert_eq!(cgroup_mount(mounts), expect.map(PathBuf::from), "{mounts}");
        };
        check(
            "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
            Some("/sys/fs/cgroup"),
        );
        let both =
            "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        check(both, Some("/sys/fs/cgroup/unified"));
        check("cgroup2 /elsewhere cgroup2 rw 0 0\n", None);
        check("proc /proc proc rw 0 0\n\n", None);
    }

    #[test]
    fn rules_are_replaced_whole_and_leave_loopback_alone() {
        let lead = Lead {
            cgroup: "brickwork/ab/desk.1".to_owned(),
            level: 3,
            port: 20_007,
        };
        let text = text("t", &[lead]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "flush chain inet t output");
        assert_eq!(
            lines[4],
            "add rule inet t output socket cgroupv2 level 3 \"brickwork/ab/desk.1\" meta l4proto tcp ip daddr != 127.0.0.0/8 redirect to :20007"
        );
        assert_eq!(lines.len(), 6);
    }
}
