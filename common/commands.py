"""What the three commands share: errors without tracebacks, and a check of the installation."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from copy import copy
from functools import wraps
from hashlib import sha256
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from common.errors import ConfigError, LeukofedError
from common.plain_text import plain

P = ParamSpec("P")
R = TypeVar("R")

PACKAGES = ("server", "client", "common")
_REINSTALL = "install leukofed alone in a fresh virtual environment"


def plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Show a LeukofedError as problem, fix and local detail, and exit with 1.

    Bugs keep their traceback.
    """

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LeukofedError as error:
            detail = f"\n  Detail: {error.local_detail}" if error.local_detail else ""
            raise click.ClickException(plain(f"{error}{detail}")) from error

    return wrapped


def check_installation() -> None:
    """Check that `server`, `client` and `common` are those of one leukofed distribution.

    Their names are common ones: another distribution's `common/` would overwrite ours silently.

    Raises:
        ConfigError: leukofed is not installed, or a package comes from elsewhere.
    """
    try:
        ours = distribution("leukofed")
    except PackageNotFoundError as error:
        raise ConfigError("leukofed is not installed", fix=_REINSTALL) from error
    check_packages(ours, {name: _origin(name) for name in PACKAGES})


def check_packages(ours: Distribution, origins: Mapping[str, Path | None]) -> None:
    """Check the packages that Python imports against a distribution's own list of files.

    Args:
        ours: the distribution.
        origins: per package, the `__init__.py` that is imported, None if there is none. An
            editable installation lists no packages; then they need only lie side by side.

    Raises:
        ConfigError: a package comes from elsewhere.
    """
    listed = {str(file): file.hash for file in ours.files or ()}
    homes = {None if path is None else path.parent.parent for path in origins.values()}
    foreign = []
    for name, path in origins.items():
        expected = listed.get(f"{name}/__init__.py")
        if path is None or (expected is not None and _hash(path) != expected.value):
            foreign.append(name)
    if foreign or len(homes) > 1:
        raise ConfigError(
            f"the packages {', '.join(foreign or origins)} are not from one leukofed installation",
            fix=_REINSTALL,
            local_detail=", ".join(str(path) for path in origins.values()),
        )


def _origin(name: str) -> Path | None:
    spec = find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _hash(path: Path) -> str:
    """Return a file's SHA-256 as an installation's RECORD writes it (PEP 376)."""
    return urlsafe_b64encode(sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


class LazyGroup(click.Group):
    """A group whose commands' modules are imported when a command is called.

    Args:
        rooms: per command, its place as `module:attribute`, and its line in the group's help.
        notices: the name of the option that names a party's folder, and the place of a function
            that says, of such a folder, what whoever works on it must be told first; it is asked
            by each command that has the option.
    """

    def __init__(
        self,
        *args: object,
        rooms: Mapping[str, tuple[str, str]],
        notices: tuple[str, str] | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.rooms = rooms
        self.notices = notices

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return sorted(self.rooms)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.rooms:
            return None
        command: click.Command = _at(self.rooms[cmd_name][0])
        return command if self.notices is None else _with_notices(command, *self.notices)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete a command's name, or the group's options, without importing any command."""
        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in sorted(self.rooms.items())
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the group's list of commands without importing any."""
        rows = [(name, line) for name, (_, line) in sorted(self.rooms.items())]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _at(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def _with_notices(command: click.Command, option: str, place: str) -> click.Command:
    """Return a command that tells, before it does anything, what is to be told of its folder."""
    callback = command.callback
    if callback is None or not any(parameter.name == option for parameter in command.params):
        return command

    @wraps(callback)
    def wrapped(*args: object, **kwargs: object) -> object:
        folder = kwargs.get(option)
        for line in [] if folder is None else _at(place)(folder):
            click.echo(f"Warning: {line}", err=True)
        return callback(*args, **kwargs)

    noticing = copy(command)
    noticing.callback = wrapped
    return noticing
