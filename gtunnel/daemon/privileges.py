"""Giving up what is no longer needed: chroot, setgid, setuid (manual, GLOBAL OPTIONS)."""

import ctypes
import grp
import os
import pwd
from typing import Final

from gtunnel.conf.settings import ProcessSettings
from gtunnel.errors import GtunnelError
from gtunnel.values import dataclass

# prctl.h
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


class PrivilegeError(GtunnelError):
    """A user, group or directory that is not there, or that we may not become."""

    template = "{option} = {value}: {reason}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom to become; None stays as it is. `group` falls back to the user's own group."""

    user: int | None
    group: int | None

    @property
    def for_chown(self) -> tuple[int, int]:
        """User and group as chown(2) takes them: -1 leaves one as it is."""
        return (-1 if self.user is None else self.user, -1 if self.group is None else self.group)


def look_up(settings: ProcessSettings) -> Identity:
    """Find the numbers, while /etc/passwd can still be read. Raises `PrivilegeError`."""
    user = group = None
    if settings.user is not None:
        user, group = _user(settings.user)
    if settings.group is not None:
        group = group_number("setgid", settings.group)
    return Identity(user, group)


def group_number(option: str, name: str | None) -> int | None:
    """The number of an option's group, if it names one. Raises `PrivilegeError`."""
    if name is None or name.isdigit():
        return None if name is None else int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise PrivilegeError(option=option, value=name, reason="no such group") from error


def enter_root(directory: str) -> None:
    """chroot(2). Raises `PrivilegeError`."""
    try:
        os.chroot(directory)
        os.chdir("/")
    except OSError as error:
        raise PrivilegeError(option="chroot", value=directory, reason=error.strerror) from error


def become(identity: Identity) -> None:
    """setgroups, setgid, setuid, in this order and for good. Raises `PrivilegeError`.

    Rights that a service manager has given us are kept, but not for programs that we start.
    """
    _keep_rights_to_ourselves()
    try:
        if identity.group is not None:
            # "clear all other groups" (manual, setgid)
            os.setgroups([identity.group])
            os.setresgid(identity.group, identity.group, identity.group)
        elif identity.user is not None:
            # A number without an account has no group to become; those of root are not for it all the same.
            os.setgroups([])
    except OSError as error:
        raise PrivilegeError(option="setgid", value=identity.group, reason=error.strerror) from error
    try:
        if identity.user is not None:
            os.setresuid(identity.user, identity.user, identity.user)
    except OSError as error:
        raise PrivilegeError(option="setuid", value=identity.user, reason=error.strerror) from error


def _keep_rights_to_ourselves() -> None:
    """Clear the ambient capabilities (capabilities(7)): what we have stays, what we execute does not get it."""
    ctypes.CDLL(None).prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def _user(name: str) -> tuple[int, int | None]:
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError as error:
        if name.isdigit():
            return int(name), None
        raise PrivilegeError(option="setuid", value=name, reason="no such user") from error
    return entry.pw_uid, entry.pw_gid


