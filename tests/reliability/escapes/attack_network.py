"""Attacks by the network and by sockets."""

import errno
import os
import socket
import struct
from contextlib import suppress

from tests.reliability.escapes.attack import DIFFERS, ROOT, Target, attack, error, escape, found

SECONDS = 3


def _talk(target: Target, family: int, address: tuple[str, int] | str | bytes, kind: int = socket.SOCK_STREAM) -> str:
    """Connect, and read the canary."""
    with socket.socket(family, kind) as connection:
        connection.settimeout(SECONDS)
        connection.connect(address)
        if kind == socket.SOCK_DGRAM:
            connection.send(b"hello")
        return found(target, connection.recv(1_000), str(address))


def _routed(address: str, port: int, family: int = socket.AF_INET) -> str:
    """Find a route to an address, without sending anything."""
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect((address, port))
        return f"a route from {connection.getsockname()[0]} to {address}"


attack("connect_to_the_server")(lambda target: _talk(target, socket.AF_INET, ("127.0.0.1", target["tcp"])))
attack("connect_to_the_server_by_ipv6", DIFFERS, "a machine may have no IPv6")(
    lambda target: _talk(target, socket.AF_INET6, ("::1", target["tcp6"]))
)
attack("connect_to_any_address_of_the_machine")(
    lambda target: _talk(target, socket.AF_INET, ("127.1.2.3", target["tcp"]))
)
attack("send_datagrams_to_the_server")(
    lambda target: _talk(target, socket.AF_INET, ("127.0.0.1", target["udp"]), socket.SOCK_DGRAM)
)
attack("route_to_the_metadata_service", DIFFERS, "a machine may have no network")(
    lambda _: _routed("169.254.169.254", 80)
)
attack("route_to_the_internet", DIFFERS, "a machine may have no network")(lambda _: _routed("192.0.2.1", 443))
attack("route_to_the_internet_by_ipv6", DIFFERS, "a machine may have no IPv6")(
    lambda _: _routed("2001:db8::1", 443, socket.AF_INET6)
)


@escape(DIFFERS, "a machine may have no network")
def route_to_a_resolver(_: Target) -> str:
    servers = []
    with suppress(OSError), open("/etc/resolv.conf") as file:
        servers = [line.split()[1] for line in file if line.startswith("nameserver ")]
    for server in (*servers, "192.0.2.53"):
        with suppress(OSError):
            return _routed(server, 53)
    return _routed("127.0.0.53", 53) if servers else _routed("192.0.2.53", 53)


@escape()
def resolve_a_name_of_the_machine(_: Target) -> str:
    """Resolve the name of the machine by its hosts file or resolver."""
    with open("/etc/hosts") as file:
        names = [name for line in file for name in line.partition("#")[0].split()[1:]]
    strange = [name for name in names if name not in ("localhost", "athena", "ip6-localhost", "ip6-loopback")]
    if not strange and not os.path.exists("/etc/resolv.conf"):
        raise error(errno.ENOENT, "no names")
    return f"names {strange}"


attack("connect_to_a_socket_in_the_state")(lambda target: _talk(target, socket.AF_UNIX, target["socket"]))
attack("connect_to_a_socket_through_a_link")(
    lambda target: _talk(target, socket.AF_UNIX, f"{target['workspace']}/link-to-socket")
)
attack("connect_to_an_abstract_socket")(
    lambda target: _talk(target, socket.AF_UNIX, b"\0" + target["abstract"].encode())
)


@escape()
def connect_to_sockets_of_the_system(_: Target) -> str:
    """Look for sockets of other programs: containers, message buses, agents."""
    with open("/proc/net/unix") as file:
        paths = [line.split()[7] for line in file.readlines()[1:] if len(line.split()) > 7]
    if not paths:
        raise error(errno.ENOENT, "unix sockets")
    return f"{len(paths)} sockets are listed"


@escape(ROOT, "only root may make raw sockets")
def make_a_raw_socket(_: Target) -> str:
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "a raw socket"
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW):
        return "a packet socket"


@escape(DIFFERS, "a machine may have no such socket")
def reach_the_host_of_a_virtual_machine(_: Target) -> str:
    """Make a socket to the hypervisor, which network namespaces do not confine. Nothing is sent."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "a vsock socket"


@escape(DIFFERS, "a kernel may lack them all")
def make_a_socket_of_a_rare_family(_: Target) -> str:
    """Make sockets of families with a large surface: crypto, TIPC, RDS, Bluetooth, CAN, NFC, XDP."""
    for family in (38, 30, 21, 31, 29, 39, 44, 15, 4, 5, 3, 9, 36, 37, 42):
        for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
            with suppress(OSError), socket.socket(family, kind):
                return f"family {family}"
    raise error(errno.EAFNOSUPPORT, "socket")


@escape(ROOT, "only root may change interfaces")
def make_a_network_interface(_: Target) -> str:
    """Ask for a new interface without a kind: root gets EOPNOTSUPP or EINVAL, others EPERM."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(SECONDS)
        body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
        netlink.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)  # RTM_NEWLINK
        answer = netlink.recv(1_000)
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number in (errno.EPERM, errno.EACCES):
            raise error(number, "RTM_NEWLINK")
        return f"permitted, then {os.strerror(number)}"


@escape(DIFFERS, "a machine may have no other interface")
def see_the_interfaces_of_the_machine(_: Target) -> str:
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not names:
        raise error(errno.ENODEV, "only lo")
    return f"{names}"


@escape(DIFFERS, "a machine may allow no port below 1024")
def see_the_connections_of_the_machine(target: Target) -> str:
    with open("/proc/net/tcp") as file:
        if f":{target['tcp']:04X} " not in file.read():
            raise error(errno.ENOENT, "/proc/net/tcp")
    return "the server's port is listed"
