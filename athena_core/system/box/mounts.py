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

Wanted = tuple[bytes, bytes, bytes, Shown]
"""Where a mount is shown in the box, a directory of the machine, the path below it that is shown, and the place of the
directory on a file system."""


def in_place(first: int, words: list[str]) -> bool:
    """Return True if the mounts of the box at and below the workspace are these, and each shows its own path.

    ``first`` is the pid of the box's first process. ``words`` are three for each mount: the place in the box, a
    directory that no command can replace, and the path below it that is shown. The workspace is the first one.
    """
    try:
        return _in_place(first, words)
    except OSError:
        return False  # the box or the workspace is gone


def _in_place(first: int, words: list[str]) -> bool:
    with open("/proc/self/mountinfo", "rb") as file:
        machine = file.read()
    with open(f"/proc/{first}/mountinfo", "rb") as file:
        box = file.read()
    wanted: list[Wanted] = []
    for place, above, below in zip(*[iter(words)] * 3, strict=True):
        real = os.fsencode(os.path.realpath(above))
        rest = b"/" + os.fsencode(below) if below else b""
        wanted.append((os.fsencode(place), real, rest, _shown(machine, real)))
    return matches(box, machine, wanted)


def matches(box: bytes, machine: bytes, wanted: list[Wanted]) -> bool:
    """Compare two texts of ``mountinfo``: the mounts of the box at and below the first wanted place, and the wanted."""
    ours = sorted((place, device, root) for device, root, place in _mounts(machine))
    places = {_escaped(place): (_escaped(real), _escaped(rest), shown) for place, real, rest, shown in wanted}
    own, missing = _escaped(wanted[0][0]), set(places)
    for device, root, place in _mounts(b"\n".join([line for line in box.splitlines() if own in line])):
        if place != own and not place.startswith(own + b"/"):
            continue
        missing.discard(place)
        nearest = max((one for one in places if place == one or place.startswith(one + b"/")), key=len)
        real, rest, shown = places[nearest]
        path = rest + place[len(nearest) :]
        expected = (shown[0], _joined(shown[1], path))
        for outer, its_device, its_root in ours:  # file systems of the machine below the directory
            if outer.startswith(real + b"/") and (real + path + b"/").startswith(outer + b"/"):
                expected = (its_device, _joined(its_root, (real + path)[len(outer) :]))
        if (device, root) != expected:
            return False
    return not missing


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
