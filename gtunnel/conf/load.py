"""Loading a configuration: the entrance of this floor. Everything raises `ConfigError`, and nothing else."""

from collections.abc import Iterator

from gtunnel.conf import options_global, sources
from gtunnel.conf.build import build_configuration, build_service
from gtunnel.conf.conflicts import check_services
from gtunnel.conf.errors import ConfigError, Problem, Reason
from gtunnel.conf.options_access import PROCESS_MAX_CONNECTIONS
from gtunnel.conf.options_program import EXEC, EXEC_ARGS, PTY, RETRY
from gtunnel.conf.options_service import CLIENT, CONNECT
from gtunnel.conf.options_sessions import SESSIOND, TICKET_SECRETS
from gtunnel.conf.options_tls import CERT, KEY, PSK_IDENTITY
from gtunnel.conf.reader import Outline, SectionOutline, read
from gtunnel.conf.rules import Draft, check_service
from gtunnel.conf.settings import Configuration, Place, ServiceSettings
from gtunnel.conf.statements import Statements


def load_file(path: str) -> Configuration:
    """Load the configuration file at `path` and what it includes."""
    try:
        data = sources.read_file(path)
    except sources.SourceError as error:
        raise ConfigError((Problem(Place(path, 0), "", f"cannot read the configuration: {error}"),)) from error
    return parse_text(data, path)


def load_fd(descriptor: int, name: str | None = None) -> Configuration:
    """Load the configuration from an open descriptor (`-fd N`), which stays open. `name` is its name in messages."""
    name = name or ("<stdin>" if descriptor == 0 else f"fd {descriptor}")
    try:
        data = sources.read_descriptor(descriptor)
    except sources.SourceError as error:
        raise ConfigError((Problem(Place(name, 0), "", f"cannot read the configuration: {error}"),)) from error
    return parse_text(data, name)


def control_of(path: str) -> str | None:
    """What the file at `path` says of `control`, whatever else may be wrong with it."""
    try:
        outline = read(sources.read_file(path), path)
    except sources.SourceError:
        return options_global.AUTOMATIC
    return Statements(outline.process).one(options_global.CONTROL)


def parse_text(text: str | bytes, file: str = "<text>") -> Configuration:
    """Read a configuration from memory. `file` is its name in messages; relative includes start at the current
    directory, as in stunnel."""
    # Lone surrogates are no UTF-8 and come back as a problem of their line.
    outline = read(text.encode(errors="surrogatepass") if isinstance(text, str) else text, file)
    problems = list(outline.problems)
    services: list[ServiceSettings] = []
    process = Statements(outline.process)
    log = process.one(options_global.DEBUG)
    group = process.last(options_global.CONTROL_GROUP)
    if group is not None and process.one(options_global.CONTROL) is None:
        problems.append(Problem(group.place, group.text, Reason.CONTROL_GROUP))
    for draft in _drafts(outline):
        found = list(check_service(draft))
        limit = process.last(PROCESS_MAX_CONNECTIONS)
        if draft.inetd and limit is not None:
            found.append(Problem(limit.place, limit.text, Reason.INETD_LIMITS))
        problems += found
        if not found and not draft.section.broken:
            services.append(build_service(draft.section, draft.statements, log, inetd=draft.inetd))
            outline.notes.extend(_unused(draft))
    built = {service.section for service in services}
    problems += check_services(services, {section.name for section in outline.sections} - built)
    if problems:
        raise ConfigError(_in_order(problems, file))
    return build_configuration(outline, tuple(services))


def _drafts(outline: Outline) -> Iterator[Draft]:
    """The services to be. Without a section, one whose connection is standard input (manual, INETD MODE)."""
    defaults = Statements(outline.defaults.statements)
    for section in outline.sections:
        yield Draft(section, Statements(section.statements, defaults))
    if not outline.sections and not outline.problems:
        name = Statements(outline.process).one(options_global.SERVICE_IDENT)
        yield Draft(SectionOutline(name, Place(outline.file, 0), ""), defaults, inetd=True)


def _unused(draft: Draft) -> Iterator[str]:
    """Notes on lines that have no effect in this service: stunnel takes them as well."""
    statements = draft.statements
    key = statements.last(KEY)
    if key is not None and statements.one(CERT) is None:
        yield f"{key.place}: option 'key' has no effect without cert"
    client = statements.one(CLIENT)
    for option in (*TICKET_SECRETS, SESSIOND) if client else (PSK_IDENTITY,):
        line = statements.own(option)
        if line is not None:
            mode = "client" if client else "server"
            yield f"{line.place}: option '{option.name}' has no effect in {mode} mode"
    runs = statements.last(EXEC) is not None
    line = None if runs else statements.own(EXEC_ARGS, PTY)
    if line is not None:
        yield f"{line.place}: option '{line.row.name}' has no effect without exec"
    line = statements.own(RETRY)
    if line is not None and not (runs and statements.all(CONNECT)):
        yield f"{line.place}: option 'retry' has no effect without exec and connect"


def _in_order(problems: list[Problem], file: str) -> tuple[Problem, ...]:
    """By file, in the order that problems were found in files, then by line."""
    files = dict.fromkeys([file, *(problem.place.file for problem in problems)])
    rank = {name: index for index, name in enumerate(files)}
    return tuple(sorted(problems, key=lambda problem: (rank[problem.place.file], problem.place.line)))
