//! Who listens on a port: socket inode from `/proc/net/tcp`, process from `/proc/*/fd`.

use std::net::{IpAddr, SocketAddr};

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Its command line, at most 120 characters.
    pub command: String,
}

/// Socket state of a listener in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Range of ports that the kernel takes for outgoing connections.
pub(crate) fn ephemeral_range() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or((32_768, 60_999))
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let (from, to) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (from <= to).then_some((from, to))
}

/// The process that listens on the address's port, where the kernel lets this user see it.
pub fn owner(addr: SocketAddr) -> Option<Owner> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|path| {
        let table = std::fs::read_to_string(path).ok()?;
        listener_inode(&table, addr)
    })?;
    let socket = format!("socket:[{inode}]");
    let mut processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let holds = |fd: std::fs::DirEntry| {
            std::fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
        };
        descriptors.flatten().any(holds).then(|| Owner {
            pid,
            command: command(pid),
        })
    })
}

fn command(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    words.join(" ").chars().take(120).collect()
}

/// Inode of a socket that listens where a bind of `addr` collides: the same address or the wildcard.
fn listener_inode(table: &str, addr: SocketAddr) -> Option<u64> {
    let collides = |local: &str| {
        let (ip, port) = local.split_once(':')?;
        (u16::from_str_radix(port, 16).ok()? == addr.port()).then_some(())?;
        let wildcard = ip.bytes().all(|b| b == b'0');
        (wildcard || addr.ip().is_unspecified() || ip == hexadecimal(addr.ip())).then_some(())
    };
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        (*state == LISTEN).then_some(())?;
        collides(local)?;
        inode.parse().ok()
    })
}

/// An address as `/proc/net/tcp` writes it: words in the byte order of the machine.
fn hexadecimal(ip: IpAddr) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|word| {
        let mut four = [0_u8; 4];
        four.copy_from_slice(word);
        format!("{:08X}", u32::from_ne_bytes(four))
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_taken_port_names_its_owner() {
        for ip in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(ip) else {
                continue; // a machine without IPv6
            };
            let owner = owner(listener.local_addr().unwrap()).unwrap();
            assert_eq!(owner.pid, std::process::id(), "{ip}");
            assert!(!owner.command.is_empty());
        }
    }

    #[test]
    fn nobody_owns_a_free_port() {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(owner(addr), None);
    }

    #[test]
    fn ranges_are_read_or_refused() {
        for (text, expect) in [
            ("32768\t60999\n", Some((32_768, 60_999))),
            ("1024 1024", Some((1024, 1024))),
            ("60999 32768", None),
            ("", None),
            ("1 x", None),
            ("1 99999", None),
        ] {
            assert_eq!(parse_range(text), expect, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_table_is_read_without_panic(text in "[ -~\n]*") {
            let _ = listener_inode(&text, "127.0.0.1:80".parse().unwrap());
        }
    }
}
