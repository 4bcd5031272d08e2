"""Completion of commands in a shell: click's own scripts, and what names may stand in a place.

What completes is asked at every press of a key, so nothing here opens a file or imports much:
names are read from folders.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), default="bash")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a SHELL complete this command: bash, zsh or fish.

    Commands, options and what they may be given are completed with the Tab key: files and folders,
    and the names of scenarios, runs, sites and studies. Needs bash 4.4 or newer. To have it in
    every shell that is opened, let the shell's start-up file read the script.

    \b
    Examples, for leukofed-sim:
      eval "$(leukofed-sim completion bash)"
      leukofed-sim completion fish > ~/.config/fish/completions/leukofed-sim.fish
    """  # noqa: D301 - click reads \b as "do not wrap"
    root = context.find_root()
    click.echo(script(root.command, root.info_name or "", shell), nl=False)


def script(command: click.Command, name: str, shell: str) -> str:
    """Return the script for a command as it is called, for one of `SHELLS`."""
    found = get_completion_class(shell)
    if found is None:
        raise ValueError(f"{shell} is none of {', '.join(SHELLS)}")
    variable = f"_{name.replace('-', '_').replace('.', '_').upper()}_COMPLETE"
    return found(command, {}, name, variable).source()


def below(option: str, *folders: str, suffix: str = "") -> Complete:
    """Return what completes a name by what lies in a party's folder.

    Args:
        option: the command's option that names the party's folder.
        folders: the way from there.
        suffix: of the files that are meant, left out of their names; none: folders are meant.
    """

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        folder = Path(context.params.get(option) or Path()).joinpath(*folders)
        found = folder.glob(f"*{suffix}") if suffix else (p for p in folder.glob("*") if p.is_dir())
        names = (path.name.removesuffix(suffix) for path in found if not path.is_symlink())
        return matching(names, incomplete)

    return complete


def matching(names: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    """Return the names that begin so, in order."""
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
