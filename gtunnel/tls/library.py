"""Setting OpenSSL up for the process, before contexts are built: engines, providers, FIPS, randomness.

What was done stays done: a reload that asks for the same does nothing, and one that asks for more adds it.
"""

import os
import stat
from dataclasses import field
from typing import Final, cast

from gtunnel.conf.options_library import KERNEL_RANDOMNESS
from gtunnel.conf.settings import LibrarySettings, OptionLine
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.tls.openssl import engines, library, native
from gtunnel.tls.openssl.engines import Engine, EngineError
from gtunnel.values import dataclass

# A seed file that is larger than this is no seed file.
MAX_SEED_BYTES: Final = 1 << 20
_WHAT_WOULD_HELP: Final = (
    "the OpenSSL of this build is linked statically and cannot do it: use the distribution's own python3-openssl "
    "(docs/debian.md)"
)


class LibraryError(GtunnelError):
    """OpenSSL cannot be set up as a line wants it."""

    template = '{place}: "{text}": {reason}'


@dataclass(slots=True)
class Library:
    """What has been done to this process' OpenSSL. `engines` stand in the order that they were named."""

    engines: list[Engine] = field(default_factory=list)
    done: tuple[tuple[str, object], ...] = ()

    def engine(self, identifier: str | None, number: int | None) -> Engine | None:
        """An engine by its id or its number, which starts with 1; None if there is no such."""
        if identifier is not None:
            return next((engine for engine in self.engines if engine.identifier == identifier), None)
        if number is not None and number <= len(self.engines):
            return self.engines[number - 1]
        return None


# OpenSSL itself is one for the process.
LIBRARY: Final = Library()


def prepare(settings: LibrarySettings, log: Log, *, change: bool = True) -> None:
    """Do what the settings say. `change` lets files be written. Raises `LibraryError` for the first line that fails."""
    steps = tuple((line.option, line.value) for line in settings.steps)
    if steps != LIBRARY.done:
        LIBRARY.done = ()
        LIBRARY.engines.clear()
        for line in settings.steps:
            _take(line, settings)
        for engine in LIBRARY.engines:
            _initialize(engine, settings)
        LIBRARY.done = steps
    _seed(settings, log, change=change)


def _take(line: OptionLine, settings: LibrarySettings) -> None:
    try:
        reason = _step(line, settings)
    except EngineError as error:
        reason = str(error)
    if reason is not None:
        raise LibraryError(place=line.place, text=line.text, reason=reason)


def _step(line: OptionLine, settings: LibrarySettings) -> str | None:
    """Do what a line says. Returns why it cannot be done, or None. Raises `EngineError`."""
    if line.option == "fips":
        return _fips(wanted=bool(line.value))
    if not native.SHARED or (not engines.AVAILABLE and line.option.startswith("engine")):
        return _WHAT_WOULD_HELP if not native.SHARED else "this OpenSSL has no engines any more: use a provider"
    return _provider(line, settings) if line.option.startswith("provider") else _engine(line)


def _engine(line: OptionLine) -> str | None:
    if line.option == "engine":
        if str(line.value).lower() == "auto":
            engines.enable_all()
        else:
            LIBRARY.engines.append(Engine(str(line.value)))
        return None
    if not LIBRARY.engines:
        return "No engine was defined"
    if line.option == "engineCtrl":
        LIBRARY.engines[-1].control(*cast("tuple[str, str | None]", line.value))
    else:
        LIBRARY.engines[-1].become_default(str(line.value))
    return None


def _provider(line: OptionLine, settings: LibrarySettings) -> str | None:
    if line.option == "providerParameter":
        owner = cast("tuple[str, str, str]", line.value)[0]
        named = any(one.option == "provider" and one.value == owner for one in settings.steps)
        return None if named else f"there is no line provider = {owner}"
    name = str(line.value)
    lines = (one.value for one in settings.steps if one.option == "providerParameter")
    given = [cast("tuple[str, str, str]", value) for value in lines]
    parameters = {parameter: value for owner, parameter, value in given if owner == name}
    return library.configure_provider(name, parameters) if parameters else library.load_provider(name)


def _fips(*, wanted: bool) -> str | None:
    if not wanted:
        return None
    if not native.SHARED:
        return _WHAT_WOULD_HELP
    reason = library.enter_fips()
    return None if reason is None else f"there is no FIPS provider ({reason}): install and configure one"


def _initialize(engine: Engine, settings: LibrarySettings) -> None:
    line = next(one for one in settings.steps if one.option == "engine" and one.value == engine.identifier)
    try:
        engine.initialize()
    except EngineError as error:
        raise LibraryError(place=line.place, text=line.text, reason=error) from error


def _seed(settings: LibrarySettings, log: Log, *, change: bool) -> None:
    if settings.seed_file == KERNEL_RANDOMNESS:
        return
    try:
        regular, size = _read_seed(settings)
        if regular and change and settings.overwrite_seed:
            _write_seed(settings.seed_file, size)
    except OSError as error:
        # OpenSSL has the kernel's randomness all the same.
        log.write(Level.WARNING, f"RNDfile = {settings.seed_file}: {error.strerror}")


def _read_seed(settings: LibrarySettings) -> tuple[bool, int]:
    """Add a seed file to the generator; whether it is a regular file, and its size in bytes. Raises `OSError`."""
    # Not waiting for a FIFO that nobody writes to.
    descriptor = os.open(settings.seed_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        library.add_randomness(os.read(descriptor, min(settings.seed_bytes, MAX_SEED_BYTES)))
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return stat.S_ISREG(status.st_mode), status.st_size


def _write_seed(file: str, size: int) -> None:
    # A link may lead to a file of somebody else's.
    descriptor = os.open(file, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, os.urandom(min(size, MAX_SEED_BYTES)))
    finally:
        os.close(descriptor)
