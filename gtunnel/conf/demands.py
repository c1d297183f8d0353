"""Options whose lines change a common state, one after the other: the demands on a peer, the bounds of the version."""

from typing import cast

from gtunnel.conf.options_tls import DEFAULT_VERSIONS, VERSION_OPTIONS, VersionChange
from gtunnel.conf.options_verify import CA_ENGINE, DEMANDS, NO_DEMAND, TRUST, Demand
from gtunnel.conf.settings import TlsVersion
from gtunnel.conf.statements import Statements

_AGE = {version: age for age, version in enumerate(TlsVersion)}


def demand(statements: Statements) -> Demand:
    """The demands after all lines; none of them is None."""
    result = NO_DEMAND
    for statement in statements.of(*DEMANDS):
        result = result.changed_by(cast("Demand", statement.value))
    return result


def has_trust(statements: Statements) -> bool:
    """Whether there are certificates to trust."""
    return bool(statements.all(CA_ENGINE)) or any(statements.one(option) is not None for option in TRUST)


def version_bounds(statements: Statements) -> tuple[TlsVersion, TlsVersion]:
    """The oldest and the newest version after all lines; ALL for no bound."""
    low, high = DEFAULT_VERSIONS.low, DEFAULT_VERSIONS.high
    for statement in statements.of(*VERSION_OPTIONS):
        change = cast("VersionChange", statement.value)
        low, high = change.low or low, change.high or high
    return low or TlsVersion.ALL, high or TlsVersion.ALL


def versions_ascend(low: TlsVersion, high: TlsVersion) -> bool:
    """Whether there is a version between the bounds."""
    return TlsVersion.ALL in (low, high) or _AGE[low] <= _AGE[high]
