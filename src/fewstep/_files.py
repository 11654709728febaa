"""Files that are either whole or not there: write beside, flush to the disk, rename."""

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path, size=0):
    """A path to write to, beside ``path``; when the block ends without an error it takes the place
    of ``path``.

    size: bytes that will be written, checked against the free room first.
    A process killed at any moment leaves the old file or the new one, never a part: at worst a
    stray ``.part`` file stays, which the next write overwrites. Raises OSError when there is no
    room or the folder cannot be written.
    """
    path = Path(path)
    check_room(path, size)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)  # safetensors writes for the owner's eyes only
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # make the rename itself last
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_room(path, size):
    """Make the folder of ``path``.

    Raises OSError when it cannot be written or has no room for ``size`` bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
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


def write(path, content):
    """Write bytes whole, or leave the old file."""
    with replacing(path, len(content)) as part:
        part.write_bytes(content)
