"""What has to be true of the figures: gtunnel's ratio to stunnel4's in the same run, or a figure of its own."""

import re
from dataclasses import dataclass

MET, MISSED, AIM = "met", "missed", "met, and the aim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """For the rows in which `pattern` is found. `bound` must be kept, `aim` would be better.

    `least`: not below the bound, else not above it. `figure`: of gtunnel's own figure, else of the ratio to stunnel4's.
    `aim_of`: the aim is this program's figure.
    """

    pattern: str
    bound: float
    aim: float | None = None
    least: bool = False
    figure: bool = False
    aim_of: str | None = None

    def __str__(self) -> str:
        sign = "≥" if self.least else "≤"
        aim = self.aim_of if self.aim_of is not None else self.aim
        number = f"{self.bound:g}" if self.figure else f"{self.bound:.2f}"
        return f"{sign} {number}" + ("" if aim is None else f" ({aim})")

    def judge(self, row: dict[str, float], ratio: float | None, ours: str) -> str:
        """`MET`, `MISSED` or `AIM` for a row's figures by program; nothing where a figure is missing."""
        value = row.get(ours) if self.figure else ratio
        if value is None:
            return ""
        if not self._keeps(value, self.bound):
            return MISSED
        if self.aim_of in row:
            return AIM if self._keeps(row[ours], row[self.aim_of]) else MET
        return AIM if self.aim is not None and self._keeps(value, self.aim) else MET

    def _keeps(self, value: float, bound: float) -> bool:
        return value >= bound if self.least else value <= bound


TARGETS = (
    Target(pattern="^bulk ", bound=0.90, aim_of="nginx"),
    Target(pattern="^full handshake .*ECDSA", bound=1.00, aim=0.75),
    Target(pattern="^full handshake .*RSA", bound=1.00, aim=0.80),
    Target(pattern="^resumed handshake", bound=1.00, aim=0.75),
    Target(pattern="^client-mode connection", bound=1.00, aim=0.75),
    Target(pattern="^keep-alive request, 32 ", bound=0.85, aim=0.50),
    Target(pattern="^keep-alive request, 256 ", bound=0.55, aim=0.35),
    Target(pattern="^echo p50", bound=1.10, aim=1.00),
    Target(pattern="^idle TLS connection", bound=0.45, aim=0.25),
    Target(pattern="^requests/s, all cores", bound=1.3, aim=2, least=True),
    Target(pattern="^at rest, two workers", bound=60, figure=True),
    Target(pattern="^start to the first connection", bound=400, figure=True),
)


def target_of(row: str) -> Target | None:
    """What the issue asks of this row, if anything."""
    return next((target for target in TARGETS if re.search(target.pattern, row)), None)
