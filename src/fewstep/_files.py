"""Files that are either whole or not there: write beside, flush to the disk, rename."""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path, size: int = 0) -> Iterator[Path]:
    """A path to write to, beside ``path``; at the end of the block it takes the place of ``path``.

    size: bytes that will be written, checked against the free room first.
    A process killed at any moment leaves the old file or the new one, never a part: at worst a
    stray ``.part`` file, which a write of the same file sweeps away a day later. Every writer has
    a name of its own, so two at once do not harm each other: the last one stays.
    Raises OSError when there is no room or the folder cannot be written.
    """
    with replacing_all(path, size=size) as (part,):
        yield part


@contextmanager
def replacing_all(*paths: str | Path, size: int = 0) -> Iterator[list[Path]]:
    """As ``replacing`` for files of one folder that belong together: all are put in place, or none.

    size: bytes of all together.  The renames come after the last byte is on the disk, and no
    other writer's fall between them; only a kill within those microseconds can leave some new and
    some old.
    """
    targets = [Path(path) for path in paths]
    folder = targets[0].parent
    if any(target.parent != folder for target in targets):
        raise ValueError(f"paths = {list(map(str, targets))}: must be in one folder")
    for target in targets:
        check_room(target, size)
        _sweep(target)
    parts = [t.with_name(f"{t.name}.{os.getpid()}-{secrets.token_hex(4)}.part") for t in targets]
    try:
        yield parts
        for part in parts:
            _settle(part)
        with _alone(folder):
            for part, target in zip(parts, targets):
                os.replace(part, target)
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise


def check_room(path: str | Path, size: int) -> None:
    """Make the folder of ``path``.

    Raises OSError when it cannot be written, has no room for ``size`` bytes, or ``path`` is itself
    a folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder stands where the file should go", str(path))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(
            errno.EACCES, "no permission to write to this folder", str(path.parent)
        )
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise OSError(
            errno.ENOSPC,
            f"needs {size:,} bytes, free are {free:,}; any file there was left as it was",
            str(path),
        )


def write(path: str | Path, content: bytes) -> None:
    """Write bytes whole, or leave the old file."""
    with replacing(path, len(content)) as part:
        part.write_bytes(content)


def _settle(part: Path) -> None:
    """Bytes on the disk, and the rights of any new file: some writers grant the owner only."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(part, 0o666 & ~mask)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Renames in this folder, one writer at a time; they last when the block has ended."""
    if os.name != "posix":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(target: Path, age: float = 86400.0) -> None:
    """Remove what writers of this file left behind that were killed more than ``age`` s ago."""
    ours = re.compile(re.escape(target.name) + r"\.\d+-[0-9a-f]{8}\.part")
    for stray in target.parent.iterdir():
        if ours.fullmatch(stray.name):
            with suppress(OSError):  # another writer may sweep at the same time
                if time.time() - stray.stat().st_mtime > age:
                    stray.unlink()
