"""Options of OpenSSL as a library: engines, providers, FIPS, and its random numbers. They hold for the process."""

import re

from gtunnel.conf.option import SHARED_OPENSSL, BadValueError, Scope, Single, Topic
from gtunnel.conf.parsers import integer, path, text_of, yes_no

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_MAX_INT = 2**31 - 1
# The kernel's own generator, which OpenSSL uses anyhow.
KERNEL_RANDOMNESS = "/dev/urandom"


def control(text: str) -> tuple[str, str | None]:
    """Parse `COMMAND[:PARAMETER]`."""
    command, colon, parameter = text.partition(":")
    if not command:
        raise BadValueError("a command is missing")
    return command, parameter if colon else None


def parameter(text: str) -> tuple[str, str, str]:
    """Parse `PROVIDER:PARAMETER=VALUE`."""
    provider, _, rest = text.partition(":")
    name, equals, value = (part.strip() for part in rest.partition("="))
    # They become names in a configuration of OpenSSL's.
    if not equals or _NAME.fullmatch(provider.strip()) is None or _NAME.fullmatch(name) is None:
        raise BadValueError("PROVIDER:PARAMETER=VALUE is needed")
    return provider.strip(), name, value


ENGINE = Single(
    name="engine",
    scope=Scope.GLOBAL,
    parse=text_of("an engine"),
    default="",
    metavar="auto|ENGINE",
    help="OpenSSL's engine for keys that a device keeps",
    topic=Topic.LIBRARY,
    more=(
        "`engine = auto` makes all engines available that OpenSSL finds; a name loads that one, such as `engine = "
        "pkcs11`. Several lines load several, in the order written; `engineCtrl` and `engineDefault` apply to the "
        "one before them. OpenSSL 3 still has engines, but deprecates them for providers; OpenSSL 4 has none."
    ),
    needs=SHARED_OPENSSL,
)
ENGINE_CTRL = Single[tuple[str, str | None]](
    name="engineCtrl",
    scope=Scope.GLOBAL,
    parse=control,
    default=("", None),
    metavar="COMMAND[:PARAMETER]",
    help="command for the engine that was named last",
    secret=True,
    topic=Topic.LIBRARY,
    more=(
        "Commands are the engine's own (`openssl engine -vvvv pkcs11` lists them), such as `engineCtrl = "
        "MODULE_PATH:/usr/lib/softhsm/libsofthsm2.so`. They run before the engine is initialized. Values stay out "
        "of the log, as one may be a PIN."
    ),
    needs=SHARED_OPENSSL,
)
ENGINE_DEFAULT = Single(
    name="engineDefault",
    scope=Scope.GLOBAL,
    parse=text_of("a list of tasks"),
    default="",
    metavar="TASKS",
    help="what the engine that was named last does for everybody (ALL, RSA, RAND ...)",
    topic=Topic.LIBRARY,
    more="A list such as `engineDefault = RSA,EC`, or ALL.",
    needs=SHARED_OPENSSL,
)
FIPS = Single(
    name="fips",
    scope=Scope.GLOBAL,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="restrict OpenSSL to validated cryptography",
    topic=Topic.LIBRARY,
    more=(
        "`fips = yes` needs OpenSSL's FIPS provider, installed and configured; where there is none, gtunnel refuses "
        "to start. Algorithms that it has not got are then unknown. `fips = no` asks for nothing, and works with "
        "every build."
    ),
    needs=SHARED_OPENSSL,
)
PROVIDER = Single(
    name="provider",
    scope=Scope.GLOBAL,
    parse=text_of("a provider"),
    default="",
    metavar="PROVIDER",
    help="OpenSSL's provider to load, beside the default one",
    since="stunnel 5.72",
    topic=Topic.LIBRARY,
    more=(
        "Such as `provider = legacy` or `provider = pkcs11`. OpenSSL's default provider stays. Several lines load "
        "several."
    ),
    needs=SHARED_OPENSSL,
)
PROVIDER_PARAMETER = Single[tuple[str, str, str]](
    name="providerParameter",
    scope=Scope.GLOBAL,
    parse=parameter,
    default=("", "", ""),
    metavar="PROVIDER:PARAMETER=VALUE",
    help="parameter for a provider that is named, too",
    since="stunnel 5.72",
    secret=True,
    topic=Topic.LIBRARY,
    more=(
        "The same as a line in the provider's section of openssl.cnf. The provider needs a `provider` line of its "
        "own. Values stay out of the log."
    ),
    needs=SHARED_OPENSSL,
)
RND_BYTES = Single(
    name="RNDbytes",
    scope=Scope.GLOBAL,
    parse=integer(0, _MAX_INT, "Illegal number of bytes to read from random seed files"),
    default=1024,
    metavar="BYTES",
    help="bytes to read from the seed file",
    default_text="1024",
    topic=Topic.LIBRARY,
    more="At most a megabyte is read, whatever stands here.",
)
RND_FILE = Single(
    name="RNDfile",
    scope=Scope.GLOBAL,
    parse=path,
    default=KERNEL_RANDOMNESS,
    metavar="FILE",
    help="file with random bytes for the generator",
    default_text=KERNEL_RANDOMNESS,
    topic=Topic.LIBRARY,
    more=(
        "OpenSSL takes its randomness from the kernel, which is enough; a file that is given here is mixed in at "
        "the start. One that cannot be read costs a warning only."
    ),
)
RND_OVERWRITE = Single(
    name="RNDoverwrite",
    scope=Scope.GLOBAL,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="write new random bytes into the seed file",
    default_text="yes",
    topic=Topic.LIBRARY,
    more=(
        "So that the same seed is never used twice. Only regular files are written to, never through a symbolic link."
    ),
)
ENGINE_ID = Single[str | None](
    name="engineId",
    scope=Scope.SERVICE,
    parse=text_of("an engine"),
    default=None,
    metavar="ENGINE",
    help="engine that holds the certificate and the key",
    topic=Topic.IDENTITY,
    more=(
        "`cert` and `key` are then names that the engine understands, such as `key = pkcs11:token=web;object=key`, "
        "unless there is a file of that name. The engine has to be named by `engine` before the first section."
    ),
    needs=SHARED_OPENSSL,
)
ENGINE_NUM = Single[int | None](
    name="engineNum",
    scope=Scope.SERVICE,
    parse=integer(1, _MAX_INT, "Illegal engine number"),
    default=None,
    metavar="NUMBER",
    help="the same by its number: the first engine is 1",
    topic=Topic.IDENTITY,
    more="Engines are counted in the order of their `engine` lines.",
    needs=SHARED_OPENSSL,
)

STEPS = (ENGINE, ENGINE_CTRL, ENGINE_DEFAULT, FIPS, PROVIDER, PROVIDER_PARAMETER)
OPTIONS = (*STEPS, RND_BYTES, RND_FILE, RND_OVERWRITE, ENGINE_ID, ENGINE_NUM)
