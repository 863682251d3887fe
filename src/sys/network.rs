//! The network that this machine is on, as far as a run can tell it from another one; and its devices.

use std::io;
use tokio::net::TcpSocket;

/// Text that is the same as long as the machine stays on one network: its default routes with the hardware addresses of their
/// gateways, or all routes where there is no default. `None` where the system does not tell, or not yet.
pub(crate) fn fingerprint() -> Option<String> {
    describe(&table("/proc/net/route"), &table("/proc/net/arp"), &table("/proc/net/ipv6_route"))
}

/// Binds a socket to the network device of this name, whatever the routes say.
///
/// # Errors
/// Those of `SO_BINDTODEVICE` (socket(7)); `Unsupported` on systems without it.
pub(crate) fn bind_device(socket: &TcpSocket, name: &str) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return socket.bind_device(Some(name.as_bytes()));
    #[cfg(not(target_os = "linux"))]
    return Err(io::ErrorKind::Unsupported.into());
}

fn table(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Reads the tables of Linux: `route` has interface, destination and gateway, `arp` address and hardware address, `ipv6_route`
/// destination, prefix length, source, its length, gateway, …, interface.
fn describe(route: &str, arp: &str, ipv6_route: &str) -> Option<String> {
    let mut v4: Vec<_> = route.lines().skip(1).filter_map(|line| columns(line, [0, 1, 2])).collect();
    let mut v6: Vec<_> = ipv6_route
        .lines()
        .filter_map(|line| columns(line, [9, 0, 4]))
        // Loopback, link-local and multicast routes are the same everywhere.
        .filter(|[interface, destination, _]| {
            *interface != "lo" && !destination.starts_with("fe80") && !destination.starts_with("ff")
        })
        .collect();
    let is_default = |[_, destination, _]: &[&str; 3]| destination.bytes().all(|digit| digit == b'0');
    if v4.iter().chain(&v6).any(is_default) {
        v4.retain(is_default);
        v6.retain(is_default);
    }
    let neighbours: Vec<_> = arp.lines().skip(1).filter_map(|line| columns(line, [0, 3])).collect();
    let hardware_of = |gateway: &str| {
        let is_it = |[address, _]: &&[&str; 2]| hexadecimal(address).as_deref() == Some(gateway);
        neighbours.iter().find(is_it).map(|[_, hardware]| *hardware)
    };
    let mut lines = Vec::new();
    for [interface, destination, gateway] in &v4 {
        let is_direct = gateway.bytes().all(|digit| digit == b'0');
        let hardware = if is_direct { Some("") } else { hardware_of(gateway) };
        // A gateway whose hardware address is not known could be that of any network.
        let hardware = hardware.filter(|hardware| !hardware.starts_with("00:00:00:00:00"))?;
        lines.push(format!("{interface} {destination} {gateway} {hardware}"));
    }
    lines.extend(v6.iter().map(|columns| columns.join(" ")));
    lines.sort_unstable();
    lines.dedup();
    Some(lines.join("\n"))
}

fn columns<const N: usize>(line: &str, wanted: [usize; N]) -> Option<[&str; N]> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let mut found = [""; N];
    for (found, wanted) in found.iter_mut().zip(wanted) {
        *found = columns.get(wanted)?;
    }
    Some(found)
}

/// An IPv4 address as `route` has it: the number in memory order of the machine.
fn hexadecimal(address: &str) -> Option<String> {
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    Some(format!("{:08X}", u32::from_ne_bytes(address.octets())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\n\
        wlan0\t00000000\t0101A8C0\t0003\nwlan0\t0001A8C0\t00000000\t0001\ndocker0\t000011AC\t00000000\t0001\n";
    const ARP: &str = "IP address HW type Flags HW address Mask Device\n\
        192.168.1.7 0x1 0x2 00:00:00:00:00:07 * wlan0\n192.168.1.1 0x1 0x2 aa:bb:cc:dd:ee:ff * wlan0\n";

    #[test]
    fn the_gateway_and_its_hardware_address_tell_networks_apart_and_other_interfaces_do_not() {
        let home = describe(ROUTE, ARP, "").unwrap();
        assert!(home.starts_with("wlan0 00000000 0101A8C0"), "{home}");
        assert_eq!(
            describe(&ROUTE.replace("docker0\t000011AC\t00000000\t0001\n", ""), ARP, "").as_ref(),
            Some(&home)
        );
        // Another network with the same numbers.
        let elsewhere = describe(ROUTE, &ARP.replace("aa:bb", "11:22"), "");
        assert!(elsewhere.is_some_and(|elsewhere| elsewhere != home));
        assert_eq!(describe(ROUTE, &ARP.replace("aa:bb:cc:dd:ee:ff", "00:00:00:00:00:00"), ""), None);
        assert_ne!(describe(&ROUTE.replace("0101A8C0", "FE01A8C0"), ARP, "").as_ref(), Some(&home));
    }

    #[test]
    fn without_a_default_route_all_routes_count_and_without_tables_nothing_does() {
        let isolated = "Iface\tDestination\tGateway \tFlags\nveth0\t0002000A\t00000000\t0001\n";
        assert_eq!(describe(isolated, "", "").as_deref().map(str::trim_end), Some("veth0 0002000A 00000000"));
        assert_eq!(describe("", "", "").as_deref(), Some(""));
        assert_eq!(describe("x\ny\n", "z\nw\n", "q\n").as_deref(), Some(""));
    }

    #[test]
    fn a_default_route_of_ipv6_alone_counts() {
        let zero = "00000000000000000000000000000000";
        let gateway = "fe800000000000000000000000000001";
        let routes = format!(
            "{zero} 00 {zero} 00 {gateway} 00000400 1 0 00000003 eth0\n{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"
        );
        assert_eq!(describe("", "", &routes), Some(format!("eth0 {zero} {gateway}")));
    }
}
