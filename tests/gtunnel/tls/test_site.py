"""Where files are now that are wanted later, and what is said where they are missing."""

from pathlib import Path

from gtunnel.tls.site import Site


def test_what_is_wanted_later_is_in_the_jail() -> None:
    assert Site().later("/etc/certs") == Path("/etc/certs")
    assert Site(chroot="/jail").later("/etc/certs") == Path("/jail/etc/certs")
    # The jail's root becomes the working directory.
    assert Site(chroot="/jail").later("certs") == Path("/jail/certs")
    assert Site(chroot="/jail", confined=True).later("/etc/certs") == Path("/etc/certs")


def test_the_jail_is_mentioned_by_who_is_in_it() -> None:
    assert Site(chroot="/jail", confined=True).hint == " (inside the chroot /jail)"
    assert Site(chroot="/jail").hint == Site(confined=True).hint == ""
