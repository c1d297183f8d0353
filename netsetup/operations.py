"""The four operations, in the namespace of the calling process: it must not have a gevent hub. `api` is for callers.

Each one holds the lock, reads the kernel, and compares. What changes the kernel writes the ledger first, runs the
steps, reads back, and writes the ledger again.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from netsetup.apply import Executor
from netsetup.backends.contract import Content
from netsetup.backends.firewall import Firewall
from netsetup.errors import CollisionError, ConvergenceError, UndoError
from netsetup.kernel import namespace, sysctl
from netsetup.kernel.routing import Routing
from netsetup.ledger import Entry, Ledger, lock
from netsetup.model import Backend, Request
from netsetup.modes.build import desired
from netsetup.modes.validate import validate_instance
from netsetup.outcome import Outcome, Status
from netsetup.plan import Actual, Plan, collisions, owned, step_lines, steps_to
from netsetup.remarks import remarks
from netsetup.state import Change, Claim, Desired
from netsetup.steps import FirewallStep, Step, SysctlStep


def plan(request: Request, directory: Path) -> Plan:
    """What `apply` would do. Raises what `apply` would raise before its first step."""
    wanted = desired(request, namespace.families())
    with _session(request.instance, request.backend, directory) as session:
        return session.plan(request, wanted)


def apply(request: Request, directory: Path, *, dry_run: bool = False) -> Outcome:
    """Make the kernel hold what is wanted, or leave it as it was and raise."""
    wanted = desired(request, namespace.families())
    claim = Claim(request.table, request.priority)
    with _session(request.instance, request.backend, directory) as session:
        found = session.plan(request, wanted)
        if not dry_run:
            session.change(wanted, claim, found.steps)
        return Outcome(action="apply", steps=found.steps, dry_run=dry_run, notes=found.notes, warnings=found.warnings)


def status(request: Request, directory: Path) -> Status:
    """Whether the kernel holds what is wanted. Collisions are warnings here."""
    wanted = desired(request, namespace.families())
    claim = Claim(request.table, request.priority)
    with _session(request.instance, request.backend, directory) as session:
        actual = session.actual(wanted, claim)
        steps = steps_to(wanted, session.firewall.render(wanted.chains), actual)
        taken = tuple(
            f"{what} is taken by something that is not ours ({owner})"
            for what, owner, _ in collisions(wanted, claim, request.marks, actual)
        )
        return Status(differences=step_lines(steps), warnings=(*taken, *session.warnings(request, wanted)))


def destroy(instance: str, directory: Path, *, dry_run: bool = False) -> Outcome:
    """Remove everything of the instance, found by its marks; no configuration is needed."""
    validate_instance(instance)
    with _session(instance, Backend.AUTO, directory) as session:
        nothing = Desired()
        steps = steps_to(nothing, {}, session.actual(nothing, None))
        if not dry_run:
            session.change(nothing, None, steps)
        return Outcome(action="destroy", steps=steps, dry_run=dry_run)


@contextlib.contextmanager
def _session(instance: str, wanted: Backend, directory: Path) -> Iterator["_Session"]:
    namespace.require_net_admin()
    ledger = Ledger(directory, namespace.identity(), instance)
    with lock(directory), Routing() as routing, Firewall(wanted, instance) as firewall:
        yield _Session(routing=routing, firewall=firewall, ledger=ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """What an operation works with while it holds the lock."""

    routing: Routing
    firewall: Firewall
    ledger: Ledger

    def plan(self, request: Request, wanted: Desired) -> Plan:
        """The steps, after checking that nothing of others is in their way."""
        claim = Claim(request.table, request.priority)
        actual = self.actual(wanted, claim)
        for what, owner, instead in collisions(wanted, claim, request.marks, actual):
            raise CollisionError(what=what, owner=owner, instead=instead)
        steps = steps_to(wanted, self.firewall.render(wanted.chains), actual)
        notes = (*wanted.notes, *self.firewall.notes())
        warnings = self.warnings(request, wanted)
        return Plan(steps=steps, notes=notes, warnings=warnings, script=self.script(steps))

    def script(self, steps: tuple[Step, ...]) -> tuple[str, ...]:
        """What the steps do, as lines of a shell script."""
        return tuple(
            line
            for step in steps
            for line in (
                self.firewall.script(step.unit, step.before, step.after)
                if isinstance(step, FirewallStep)
                else step.commands()
            )
        )

    def warnings(self, request: Request, wanted: Desired) -> tuple[str, ...]:
        """What is no error, yet may be why nothing arrives."""
        return (*remarks(request, wanted, self.routing), *self.firewall.warnings())

    def actual(self, wanted: Desired, claim: Claim | None) -> Actual:
        """What the kernel has of ours, and what of others may collide with `claim`."""
        entry = self.ledger.load()
        others = tuple(self.ledger.others())
        own = None if entry is None else (*entry.claims, *([] if claim is None else [claim]))
        candidates, foreign = self.routing.rules()
        rules = tuple(rule for rule in candidates if owned(Claim(rule.table, rule.priority), own, others))
        stray = tuple(rule.as_foreign() for rule in candidates if rule not in rules)
        routes = tuple(route for route in self.routing.own_routes() if owned(Claim(route.table, -1), own, others))
        changes: Mapping[str, Change] = {} if entry is None else entry.sysctls
        paths = {*changes, *(one.path for one in wanted.sysctls)}
        return Actual(
            image=self.firewall.read(),
            rules=rules,
            routes=routes,
            sysctls={path: sysctl.read(path) for path in sorted(paths)},
            changes=changes,
            foreign_rules=(*foreign, *stray),
            foreign_routes=() if claim is None else tuple(self.routing.routes(claim.table)),
        )

    def change(self, wanted: Desired, claim: Claim | None, steps: tuple[Step, ...]) -> None:
        """Run the steps, verify, and keep the ledger true at every moment."""
        before = self.ledger.load()
        during, after = _entries(before, claim, steps, wanted)
        if steps:
            self.ledger.save(during)
            executor = Executor(self.routing, self.firewall)
            try:
                executor.run(steps)
                self._verify(wanted, claim)
            except UndoError:
                raise  # something is left, and the ledger has to speak of it
            except BaseException as error:
                executor.undo(f"{type(error).__name__} while reading back")
                self.ledger.save(before)
                raise
        if after != before:
            self.ledger.save(after)

    def _verify(self, wanted: Desired, claim: Claim | None) -> None:
        image: Mapping[str, Content] = self.firewall.render(wanted.chains)
        rest = steps_to(wanted, image, self.actual(wanted, claim))
        if rest:
            raise ConvergenceError(difference="; ".join(step_lines(rest)))


def _entries(
    before: Entry | None, claim: Claim | None, steps: tuple[Step, ...], wanted: Desired
) -> tuple[Entry, Entry | None]:
    """The ledger while steps run (covers the old state and the new one), and after them."""
    old = before or Entry()
    claims = () if claim is None else (claim,)
    paths = {one.path: one.value for one in wanted.sysctls}
    changes = dict(old.sysctls)
    for step in steps:
        if isinstance(step, SysctlStep) and step.path in paths:
            first = old.sysctls.get(step.path)
            changes[step.path] = Change(before=step.before if first is None else first.before, ours=step.after)
    during = Entry(claims=tuple(dict.fromkeys((*old.claims, *claims))), sysctls=changes)
    kept = {path: change for path, change in changes.items() if path in paths}
    return during, Entry(claims=claims, sysctls=kept) if claims else None
