"""Directories for daemons that give up root: pytest's own are for nobody else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def public_directory(user: str = "", group: str = "") -> Iterator[Path]:
    """A directory that everybody may enter, perhaps a user's; it is removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="gtunnel-"))
    try:
        directory.chmod(0o755)
        if user:
            shutil.chown(directory, user, group or user)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def copy_for(source: Path, target: Path, user: str) -> Path:
    """A copy of a file that this user, and no other one, may read."""
    shutil.copyfile(source, target)
    target.chmod(0o600)
    shutil.chown(target, user)
    return target
