"""The mounts of a box, compared with the mounts of the machine.

Another command may change the workspace while bubblewrap builds a box, and put a link in place of a directory that is
about to be bound. Bubblewrap follows it. So before the command begins, the supervisor compares each mount with the path
that it lies on.
"""

import os

Shown = tuple[bytes, bytes]
"""A place on a file system: its device, and the path from the root of that file system."""

Mount = tuple[bytes, bytes, bytes]
"""Device, the path on the device that is shown, and the path where it is shown."""

NUMBER, DEVICE, ROOT, PLACE = 0, 2, 3, 4
"""Fields of a line of ``mountinfo``."""

EMPTY = b"/bindfile"
"""Beginning of the path of a file that bubblewrap made for the box."""


def in_place(first: int, workspace: str) -> bool:
    """Return True if each mount of the box at or below the workspace shows its own path, or something empty.

    ``first`` is the pid of the box's first process.
    """
    try:
        return _in_place(first, workspace)
    except OSError:
        return False  # the box or the workspace is gone


def _in_place(first: int, workspace: str) -> bool:
    own, real = os.fsencode(os.path.abspath(workspace)), os.fsencode(os.path.realpath(workspace))
    with open("/proc/self/mountinfo", "rb") as file:
        machine = file.read()
    with open(f"/proc/{first}/mountinfo", "rb") as file:
        box = file.read()
    return matches(box, machine, own, real, _shown(machine, real), _shown(machine, os.fsencode(os.devnull)))


def matches(box: bytes, machine: bytes, own: bytes, real: bytes, root: Shown, null: Shown) -> bool:
    """Compare two texts of ``mountinfo``.

    ``own`` is the path of the workspace in the box, ``real`` its path on the machine. ``root`` and ``null`` are the
    places that the workspace and /dev/null show.
    """
    own, real = _escaped(own), _escaped(real)
    ours = _mounts(machine)
    nested = sorted((place, device, shown) for device, shown, place in ours if place.startswith(real + b"/"))
    devices = {device for device, _, _ in ours}
    bound = False
    for device, shown, place in _mounts(b"\n".join([line for line in box.splitlines() if own in line])):
        if place != own and not place.startswith(own + b"/"):
            continue
        if (device, shown) == null or (device not in devices and (shown == b"/" or shown.startswith(EMPTY))):
            continue  # a file system that was made for the box, or a file in it
        bound |= place == own
        path = real + place[len(own) :]
        expected = (root[0], _joined(root[1], path[len(real) :]))
        for outer, its_device, its_root in nested:  # file systems of the machine inside of the workspace
            if path == outer or path.startswith(outer + b"/"):
                expected = (its_device, _joined(its_root, path[len(outer) :]))
        if (device, shown) != expected:
            return False
    return bound


def _shown(machine: bytes, path: bytes) -> Shown:
    """Return the place that a path of the machine shows."""
    number = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{number}", "rb") as file:
            mount = file.read().partition(b"mnt_id:")[2].split()[0]
    finally:
        os.close(number)
    for line in machine.splitlines():
        fields = line.split(b" ")
        if fields[NUMBER] == mount:
            place = fields[PLACE].rstrip(b"/")
            return fields[DEVICE], _joined(fields[ROOT], _escaped(path)[len(place) :])
    raise FileNotFoundError(path)


def _mounts(text: bytes) -> list[Mount]:
    fields = [line.split(b" ") for line in text.splitlines()]
    return [(line[DEVICE], line[ROOT], line[PLACE]) for line in fields]


def _joined(root: bytes, rest: bytes) -> bytes:
    """Return a path below a root; ``rest`` is empty or begins with a slash."""
    return (root.rstrip(b"/") + rest) or b"/"


def _escaped(path: bytes) -> bytes:
    """Return a path as the kernel writes it."""
    for byte, code in ((b"\\", b"\\134"), (b" ", b"\\040"), (b"\t", b"\\011"), (b"\n", b"\\012")):
        path = path.replace(byte, code)
    return path
