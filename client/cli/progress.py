"""Progress on a terminal, for the hospital's commands that take a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from client.doctor.finding import Watch


@contextmanager
def shown(console: Console) -> Iterator["Watch"]:
    """Show progress on a terminal, below the lines that are finished."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[far]}"),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task: TaskID = progress.add_task("", total=None, far="", visible=False)

        def watch(what: str, done: int, of: int) -> None:
            is_open = of == 0 or done < of
            far = f"{done} of {of}" if of else str(done)
            progress.update(
                task, description=what, completed=done, total=of or None, far=far, visible=is_open
            )

        yield watch
