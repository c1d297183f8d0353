"""Options without a meaning on this platform: accepted, not looked at, and told in `Configuration.notes`."""

from gtunnel.conf.option import Scope, Single, Topic
from gtunnel.conf.parsers import anything

WINDOWS_ONLY = "it is for Windows only"
NO_THREADS = "gtunnel has no threads"


def _ignored(scope: Scope, name: str, metavar: str, help_text: str, why: str = WINDOWS_ONLY) -> Single[str]:
    return Single(
        name=name,
        scope=scope,
        parse=anything,
        default="",
        metavar=metavar,
        help=help_text,
        ignored=why,
        topic=Topic.IGNORED,
    )


OPTIONS = (
    _ignored(Scope.GLOBAL, "iconActive", "FILE", "icon while there are connections"),
    _ignored(Scope.GLOBAL, "iconError", "FILE", "icon while there is no valid configuration"),
    _ignored(Scope.GLOBAL, "iconIdle", "FILE", "icon while there are no connections"),
    _ignored(Scope.GLOBAL, "taskbar", "yes|no", "show an icon in the task bar"),
    _ignored(Scope.SERVICE, "stack", "BYTES", "size of a thread's stack", NO_THREADS),
)
