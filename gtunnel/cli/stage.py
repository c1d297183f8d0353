"""What shows something on this machine has in common: it says lines at once, has a lab and a directory of its own, and
leaves nothing behind, also when it is interrupted."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gtunnel.demo.errors import DemoError, DirectoryError, LabLeftError, LabTakenError, OutputError
from netsetup.lab import Interrupted, Lab, LabError, LabExistsError, LabIncompleteError, held, interruptible

Say = Callable[[str], None]


def perform(name: str, action: Callable[[], None], kept: Path | None = None) -> int:
    """Do it, and tell what goes wrong in a line on standard error. Returns the exit status.

    `name` is the command's; `kept` is what is left in the end because somebody asked for it.
    """
    try:
        action()
    except Interrupted as interruption:
        # Whatever could not be removed has been raised instead, from where it happened.
        complain(f"\n{interruption.what}. Everything is removed{except_for(kept)}.")
        return interruption.status
    except (DemoError, LabError) as error:
        complain(f"\n{name}: {error}")
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"\n{name}: {where}{error.strerror or error}")
        return 1
    return 0


@contextmanager
def stage(keep: Path | None = None) -> Iterator[tuple[Say, Path]]:
    """How to say a line, and a directory for files. Signals take effect only between two lines that are said.

    Not anywhere: subprocess.Popen.wait, left by an exception at the wrong instruction, keeps its lock, and the wait
    for the same program in the clean-up never ends.
    """
    with interruptible(), held() as hold, _directory(keep) as directory:

        def between(line: str) -> None:
            with hold.released():
                say(line)

        yield between, directory


@contextmanager
def own_lab(name: str) -> Iterator[Lab]:
    """A lab of our own. Raises `LabTakenError` if there is one, whole or in part."""
    remove = f"{command()} lab down --name {name}"
    lab = Lab(name)
    try:
        lab.__enter__()
    except (LabExistsError, LabIncompleteError) as error:
        raise LabTakenError(reason=str(error), command=remove) from error
    try:
        yield lab
    finally:
        try:
            lab.__exit__(None, None, None)
        except LabError as error:
            raise LabLeftError(reason=str(error), command=remove) from error


def say(line: str) -> None:
    """Write a line. Raises `OutputError`."""
    # At once: whoever watches a pipe sees where it is.
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(reason=error.strerror or str(error)) from error


def complain(line: str) -> None:
    """Write a line to standard error."""
    # The terminal may be what has gone.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def except_for(kept: Path | None) -> str:
    """What is left, behind "everything is removed"."""
    return "" if kept is None else f", but for what is in {kept}"


def command() -> str:
    """How the user can call us: by the name, or by the path of what runs now."""
    running = Path(sys.argv[0])
    found = shutil.which("gtunnel")
    if running.name != "gtunnel" or (found is not None and Path(found).resolve() == running.resolve()):
        return "gtunnel"
    with suppress(ValueError):
        return str(running.resolve().relative_to(Path.cwd()))
    return str(running)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """A directory of our own, or the one to keep."""
    if keep is not None:
        try:
            keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "is there, and is no directory" if isinstance(error, FileExistsError) else error.strerror
            raise DirectoryError(path=keep, reason=reason) from error
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gtunnel-demo-") as directory:
        yield Path(directory)
