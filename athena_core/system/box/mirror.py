"""The mirror of a workspace: the tree of its open files that boxes see instead of the workspace.

A box that shows a directory also shows the files that are put there later, under any name. So a box never shows a
shared workspace. It shows a copy without the closed files. ``sync`` carries changes of the workspace into the copy, and
changes of commands back, except closed names.
"""

import errno
import fcntl
import os
import stat
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from athena_core.errors import Overloaded
from athena_core.system.box.closed import SEARCHED_MAX, FileIdentity, identity, linked_files
from athena_core.system.box.trees import DIRECTORY, Stop, delete

PREFIX = "athena-mirror-"
TREE, LOCK = "tree", "lock"
BYTES_MAX = 8 * 1_073_741_824
"""Maximum size of the open files of a workspace."""
DEPTH_MAX = 200
DELETE_SECONDS_MAX = 60.0
CHUNK_BYTES = 1_048_576
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PERMISSIONS = 0o777
REMEDY = (
    "for a sandbox. List directories that commands do not need in ATHENA_WORKSPACE_CLOSED, or set the profile's "
    "workspace to session"
)
GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""A directory was deleted or replaced while a tree was read."""
CHANGED = "it changed in the workspace meanwhile, and was left as it is there"

Parts: TypeAlias = tuple[str, ...]
Access: TypeAlias = Literal["open", "shown", "closed"]
"""What commands may do with an entry: change it, read it where it is, or nothing."""


class Left(NamedTuple):
    """A change of commands that was not carried back into the workspace, and the reason."""

    path: str
    reason: str


class MirrorTooLarge(Exception):
    """The workspace has too many files for a mirror. The message is the reason."""


class _State(NamedTuple):
    """An entry as it was last looked at. A directory is compared by its kind only."""

    kind: int
    size: int = 0
    changed: int = 0
    modified: int = 0
    inode: int = 0
    mode: int = 0
    target: str = ""


_States: TypeAlias = dict[Parts, _State]


class Mirror:
    """The mirror of one workspace in one process. Methods block, and may be called in any thread."""

    def __init__(
        self,
        root: Path,
        access: Callable[[Parts], Access],
        closed: Callable[[], Iterable[FileIdentity]],
        place: Callable[[], Path],
    ) -> None:
        """``access`` decides by path, ``closed`` returns files that are closed under any name.

        ``place`` returns the directory to make the mirror in. It is made by the first ``sync``.
        """
        self.shown: tuple[Parts, ...] = ()
        """Paths that commands may read, which are not copied: they are shown where they are."""
        self._root = root
        self._access = access
        self._closed = closed
        self._place = place
        self._tree: Path | None = None
        self._seen: dict[Parts, tuple[_State | None, _State | None]] = {}
        self._reported: set[Left] = set()
        self._unread: set[Parts] = set()
        self._lock = threading.Lock()

    @property
    def made(self) -> bool:
        """True once there is a mirror."""
        return self._tree is not None

    def sync(self) -> tuple[Path, tuple[Left, ...]]:
        """Carry changes both ways. Return the tree for boxes, and the changes that were newly left out.

        Raise MirrorTooLarge or OSError.
        """
        with self._lock:
            if self._tree is None or not self._tree.is_dir():
                self._tree = _make(self._place())
                weakref.finalize(self, _delete, self._tree.parent)
                self._seen.clear()
            self._unread.clear()
            theirs = self._workspace_states()
            ours, extra = self._mirror_states(self._tree)
            left = {*extra, *_Sync(self._root, self._tree, theirs, ours, self._seen, self._unread).run()}
            fresh = left - self._reported
            self._reported = left & (self._reported | fresh)
            return self._tree, tuple(sorted(fresh))

    def _workspace_states(self) -> _States:
        known, linked, closed = set(self._closed()), dict[FileIdentity, list[Parts]](), list[Parts]()
        shown: list[Parts] = []
        found: _States = {}
        size = 0
        for parts, status, target in _walk(self._root, self._access, shown, closed, self._unread):
            regular = stat.S_ISREG(status.st_mode)
            if regular and identity(status) in known:
                continue
            if regular and status.st_nlink > 1:
                linked.setdefault(identity(status), []).append(parts)
            size += status.st_size if regular else 0
            found[parts] = _state(status, target)
            if size > BYTES_MAX:
                raise MirrorTooLarge(f"the files of the workspace have more than {BYTES_MAX} bytes, too many {REMEDY}")
        if linked:
            for one in linked_files(self._root.joinpath(*parts) for parts in closed) & linked.keys():
                for parts in linked[one]:
                    found.pop(parts, None)
        self.shown = tuple(shown)
        return found

    def _mirror_states(self, tree: Path) -> tuple[_States, list[Left]]:
        """Return the entries of the mirror, and those with closed names, which commands made there."""
        closed, shown = list[Parts](), list[Parts]()
        found: _States = {}
        for parts, status, target in _walk(tree, self._access, shown, closed, self._unread):
            found[parts] = _state(status, target)
        places = set(self.shown)
        for parts in places:
            self._clear(tree, parts)
        made = [parts for parts in (*closed, *shown) if parts not in places]
        return found, [Left("/".join(parts), "this name is closed to commands") for parts in made]

    def _clear(self, tree: Path, parts: Parts) -> None:
        """Delete what commands made where something is shown, unless it can be mounted there."""
        with suppress(OSError), _directory(tree, parts[:-1]) as above:
            kind = stat.S_IFMT(os.stat(parts[-1], dir_fd=above, follow_symlinks=False).st_mode)
            wanted = stat.S_IFMT(self._root.joinpath(*parts).stat(follow_symlinks=False).st_mode)
            if kind != wanted and kind == stat.S_IFDIR:
                delete(tree.joinpath(*parts), Stop("the deletion of a mirror", DELETE_SECONDS_MAX))
            elif kind != wanted:
                os.unlink(parts[-1], dir_fd=above)


class _Sync:
    """One synchronisation of a workspace with its mirror."""

    def __init__(
        self,
        root: Path,
        tree: Path,
        theirs: _States,
        ours: _States,
        seen: dict[Parts, tuple[_State | None, _State | None]],
        unread: set[Parts],
    ) -> None:
        """``unread`` are directories that cannot be listed, so nothing is known of their content."""
        self._sides = root, tree
        self._unread = unread
        self._theirs = theirs
        self._ours = ours
        self._seen = seen
        self._left: list[Left] = []

    def run(self) -> list[Left]:
        """Compare both sides with what was seen last. Return the changes that could not be carried back."""
        inward: list[Parts] = []
        outward: list[Parts] = []
        for parts in self._theirs.keys() | self._ours.keys() | self._seen.keys():
            there, here = self._theirs.get(parts), self._ours.get(parts)
            saw_there, saw_here = self._seen.get(parts, (None, None))
            if there == saw_there and here == saw_here:
                continue
            if self._unread and any(parts[:end] in self._unread for end in range(1, len(parts))):
                continue
            if there is None and here is None:
                del self._seen[parts]
            elif here == saw_here:
                inward.append(parts)
            elif there == saw_there:
                outward.append(parts)
            elif self._same(parts, there, here):
                self._seen[parts] = there, here
            else:
                inward.append(parts)
                if here is not None:
                    self._note(parts, CHANGED)
        self._carry(inward, 0)
        self._carry(outward, 1)
        return self._left

    def _note(self, parts: Parts, reason: str) -> None:
        self._left.append(Left("/".join(parts), reason))

    def _same(self, parts: Parts, there: _State | None, here: _State | None) -> bool:
        """Return True if both sides made the same of an entry."""
        if there is None or here is None or there.kind != here.kind or there.target != here.target:
            return False
        if not stat.S_ISREG(here.kind):
            return True
        if there.size != here.size:
            return False
        try:
            with self._opened(0, parts) as one, self._opened(1, parts) as other:
                while piece := os.read(one, CHUNK_BYTES):
                    if os.read(other, len(piece)) != piece:
                        return False
        except OSError:
            return False
        return True

    @contextmanager
    def _opened(self, side: int, parts: Parts) -> Iterator[int]:
        with _directory(self._sides[side], parts[:-1]) as above:
            number = os.open(parts[-1], FILE, dir_fd=above)
        try:
            yield number
        finally:
            os.close(number)

    def _carry(self, changed: list[Parts], source: int) -> None:
        """Carry changed entries from one side to the other: deletions first, deepest first."""
        froms, tos = (self._theirs, self._ours) if source == 0 else (self._ours, self._theirs)
        for parts in sorted(changed, key=len, reverse=True):
            wanted, found = froms.get(parts), tos.get(parts)
            if found is not None and (wanted is None or stat.S_IFMT(wanted.kind) != stat.S_IFMT(found.kind)):
                self._attempt(self._delete, parts, source, found)
        for parts in sorted(changed, key=len):
            if froms.get(parts) is not None:
                self._attempt(self._copy, parts, source, froms[parts])
            elif self._seen.get(parts) == (None, None):
                del self._seen[parts]

    def _attempt(self, act: Callable[[Parts, int, _State], None], parts: Parts, source: int, state: _State) -> None:
        try:
            act(parts, source, state)
        except OSError as error:
            there, here = self._theirs.get(parts), self._ours.get(parts)
            self._seen[parts] = there, here  # not again until one side changes
            if source == 1:
                if here is None:  # it could not be deleted: the next sync brings it back
                    self._seen[parts] = None, None
                self._note(parts, str(error) if isinstance(error, _Changed) else error.strerror or "it failed")

    def _delete(self, parts: Parts, source: int, found: _State) -> None:
        target = 1 - source
        with _directory(self._sides[target], parts[:-1]) as above:
            if target == 0:
                self._check(above, parts, found)
            if stat.S_ISDIR(found.kind):
                os.rmdir(parts[-1], dir_fd=above)
            else:
                os.unlink(parts[-1], dir_fd=above)
        (self._ours if target else self._theirs).pop(parts)
        self._seen[parts] = self._theirs.get(parts), self._ours.get(parts)
        if self._seen[parts] == (None, None):
            del self._seen[parts]

    def _check(self, above: int, parts: Parts, expected: _State | None) -> None:
        """Raise _Changed unless an entry of the workspace is still what it was."""
        try:
            status = os.stat(parts[-1], dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            if expected is None:
                return
            raise _Changed(CHANGED) from None
        if expected is None or _state(status, expected.target) != expected:
            raise _Changed(CHANGED)

    def _copy(self, parts: Parts, source: int, wanted: _State) -> None:
        target, name = 1 - source, parts[-1]
        state = self._theirs.get(parts) if target == 0 else None
        with _directory(self._sides[source], parts[:-1]) as there, _directory(self._sides[target], parts[:-1]) as here:
            if target == 0 and not (state and stat.S_ISDIR(state.kind)):
                self._check(here, parts, state)
            if stat.S_ISDIR(wanted.kind):
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=here)
                seen = wanted
            elif stat.S_ISLNK(wanted.kind):
                _place(here, name, lambda fresh: os.symlink(wanted.target, fresh, dir_fd=here))
                seen = wanted
            else:
                number = os.open(name, FILE, dir_fd=there)
                try:
                    status = os.fstat(number)
                    if not stat.S_ISREG(status.st_mode):
                        raise _Changed("it is not a regular file any more")
                    seen = _state(status)
                    if source == 0 and seen.inode != wanted.inode:
                        return  # replaced meanwhile, perhaps by a closed file: the next sync looks at it
                    owner = None if state is None or target else self._owner(here, name)
                    _place(here, name, lambda fresh: _write(number, status, here, fresh, owner))
                finally:
                    os.close(number)
            result = os.stat(name, dir_fd=here, follow_symlinks=False)
        made = _state(result, wanted.target)
        self._seen[parts] = (seen, made) if source == 0 else (made, seen)

    def _owner(self, above: int, name: str) -> tuple[int, int]:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
        return status.st_uid, status.st_gid


class _Changed(OSError):
    """An entry changed while it was looked at."""


_numbers = count()


def _place(above: int, name: str, make: Callable[[str], None]) -> None:
    """Make an entry under a name of its own, then give it its name."""
    fresh = f".athena-{os.getpid()}-{next(_numbers)}.tmp"
    try:
        make(fresh)
        os.rename(fresh, name, src_dir_fd=above, dst_dir_fd=above)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=above)
        raise


def _write(source: int, status: os.stat_result, above: int, fresh: str, owner: tuple[int, int] | None) -> None:
    """Copy a file with its permissions and times. Where the file system can, the copy shares the blocks."""
    target = os.open(fresh, FRESH, 0o600, dir_fd=above)
    try:
        _content(source, target)
        if owner is not None:
            with suppress(OSError):
                os.fchown(target, *owner)
        os.fchmod(target, status.st_mode & PERMISSIONS)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(target)


def _content(source: int, target: int) -> None:
    with suppress(OSError, AttributeError):  # not on each system, nor between all file systems
        while os.copy_file_range(source, target, 64 * CHUNK_BYTES):
            pass
    while piece := os.read(source, CHUNK_BYTES):  # the rest
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]


def _state(status: os.stat_result, target: str = "") -> _State:
    kind = stat.S_IFMT(status.st_mode)
    mode = status.st_mode & PERMISSIONS
    if kind == stat.S_IFDIR:
        return _State(kind)
    if kind == stat.S_IFLNK:
        return _State(kind, target=target)
    return _State(kind, status.st_size, status.st_ctime_ns, status.st_mtime_ns, status.st_ino, mode)


def _walk(
    root: Path, access: Callable[[Parts], Access], shown: list[Parts], closed: list[Parts], unread: set[Parts]
) -> Iterator[tuple[Parts, os.stat_result, str]]:
    """Yield the open directories, regular files and links of a tree, without following links. Raise OSError.

    Other paths are added to ``shown`` or ``closed``, and directories that may not be listed to ``unread``.
    """
    waiting: list[Parts] = [()]
    left = SEARCHED_MAX
    while waiting:
        above = waiting.pop()
        try:
            with _directory(root, above) as here, os.scandir(here) as entries:
                for entry in entries:
                    parts = (*above, entry.name)
                    left -= 1
                    if left < 0:
                        raise MirrorTooLarge(f"the workspace has more than {SEARCHED_MAX} files, too many {REMEDY}")
                    try:
                        status = entry.stat(follow_symlinks=False)
                        link = stat.S_ISLNK(status.st_mode)
                        target = os.readlink(entry.name, dir_fd=here) if link else ""
                    except OSError:
                        continue  # deleted meanwhile
                    if (found := access(parts)) != "open":
                        (shown if found == "shown" and not link else closed).append(parts)
                        continue
                    if stat.S_ISDIR(status.st_mode):
                        if len(parts) > DEPTH_MAX:
                            continue
                        waiting.append(parts)
                    elif not link and not stat.S_ISREG(status.st_mode):
                        continue
                    yield parts, status, target
        except PermissionError:
            unread.add(above)
        except OSError as error:
            if not above or error.errno not in GONE:
                raise  # otherwise everything below would look deleted


@contextmanager
def _directory(root: Path, parts: Parts) -> Iterator[int]:
    """Open a directory step by step, without following links below the root."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            there = os.open(part, DIRECTORY, dir_fd=here)
            os.close(here)
            here = there
        yield here
    finally:
        os.close(here)


# The place of a mirror


def _make(place: Path) -> Path:
    """Make an empty mirror, which ends with this process, and delete mirrors that other processes left."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in place.glob(f"{PREFIX}*"):
        _delete_unused(old)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    lock = os.open(made / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # the file system has no locks
        fcntl.flock(lock, fcntl.LOCK_SH)
    (made / TREE).mkdir(mode=0o755)
    return made / TREE


def _delete(made: Path) -> None:
    with suppress(OSError, Overloaded):
        delete(made, Stop("the deletion of a mirror", DELETE_SECONDS_MAX))


def _delete_unused(made: Path) -> None:
    """Delete a mirror unless a process uses it, or is making it."""
    try:
        lock = os.open(made / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _delete(made)
    except OSError:
        return  # in use, or the file system has no locks
    finally:
        os.close(lock)
