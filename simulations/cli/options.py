"""What several of the researcher's commands have: places, and the names of scenarios."""

from importlib.resources import files
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from common.completion import matching


def scenarios(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete the name of a scenario that ships with leukofed, or else a file's."""
    shipped = Path(str(files("configs"))) / "scenarios"
    names = matching((path.stem for path in shipped.glob("*.yaml")), incomplete)
    return names or [CompletionItem(incomplete, type="file")]


SCENARIO = click.argument("scenario", shell_complete=scenarios)
DATA = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the dataset that the scenario names.",
)
WEIGHTS = click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pre-trained weights, ARCHITECTURE.safetensors.",
)
CACHE = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of cached activations; may be deleted at any time.  [default: OUT/cache]",
)
CACHE_GB = click.option(
    "--cache-gb",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Most disk that it may take.",
)
NUMERICS = click.option(
    "--numerics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compute as another run did, by its numerics.json, to repeat its bits.",
)
# Files among them, as `runs/*` may name, are told of like folders that hold no run.
RUNS = click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
