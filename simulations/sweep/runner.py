"""Trials, one after another in this process or several at a time in processes of their own."""

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from rich.console import Console

from client.data.parallel import cores
from common.errors import LeukofedError
from server.progress import PlainProgress, Watch
from simulations.prepare import Places
from simulations.scenario import Scenario
from simulations.sweep.trial import Task, ValidationScore, read_score, run_trial

_PROCESS_BYTES = 4e9  # that a trial of full-size backbones may need
_LOG = "log.txt"


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: a score, or why there is none."""

    score: ValidationScore | None
    problem: str = ""


def most_jobs(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return how many trials this machine can run at a time: two cores and 4 GB for each."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        told = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if ":" in line}
        fitting = int(told["MemAvailable"] / _PROCESS_BYTES)
    except (OSError, ValueError, IndexError, KeyError):
        fitting = 1
    return max(1, min(cores() // 2, fitting))


def run_tasks(
    scenario: Scenario,
    tasks: Sequence[Task],
    places: Places,
    manifest: Path,
    jobs: int,
    watch: Watch,
) -> list[Outcome]:
    """Run trials; one that fails costs only itself.

    Args:
        scenario: data and partition.
        tasks: the trials.
        places: where to read.
        manifest: of the whole dataset.
        jobs: how many at a time; more than one run in processes of their own, each with a cache
            of its own below the given one, since one process at a time works with a cache.
        watch: shows progress.

    Returns:
        What became of each, in their order.
    """
    if jobs == 1 or len(tasks) < 2:
        return [_here(scenario, task, places, manifest, watch) for task in tasks]
    return _beside(scenario, tasks, places, manifest, jobs, watch)


def _here(scenario: Scenario, task: Task, places: Places, manifest: Path, watch: Watch) -> Outcome:
    try:
        return Outcome(run_trial(scenario, task, places, manifest, watch))
    except LeukofedError as error:
        watch.note(f"{task.label} failed: {error.problem}")
        return Outcome(None, error.problem)


def _beside(
    scenario: Scenario,
    tasks: Sequence[Task],
    places: Places,
    manifest: Path,
    jobs: int,
    watch: Watch,
) -> list[Outcome]:
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    waiting, free = deque(enumerate(tasks)), list(range(jobs))
    running: dict[int, tuple[SpawnProcess, Connection, int, int]] = {}
    found: dict[int, Outcome] = {}
    watch.phase("trials", 1)
    try:
        while waiting or running:
            while waiting and free:
                number, task = waiting.popleft()
                slot = free.pop(0)
                reader, writer = context.Pipe(duplex=False)
                cache = places.cache / f"beside-{slot}" if slot else places.cache
                given = (scenario, task, replace(places, cache=cache), manifest, writer)
                process = context.Process(target=_work, args=given, name=task.label)
                process.start()
                writer.close()
                running[process.sentinel] = (process, reader, number, slot)
            ended = wait(list(running))
            for sentinel in [one for one in running if one in ended]:
                process, reader, number, slot = running.pop(sentinel)
                found[number] = _ended(process, reader, tasks[number])
                free.append(slot)
                if found[number].problem:
                    watch.note(f"{tasks[number].label} failed: {found[number].problem}")
                watch.work("trials", len(found), len(tasks))
    finally:
        for process, reader, _, _ in running.values():
            process.terminate()
            process.join()
            process.close()
            reader.close()
    return [found[number] for number in range(len(tasks))]


def _ended(process: SpawnProcess, reader: Connection, task: Task) -> Outcome:
    process.join()
    code = process.exitcode
    try:
        problem = str(reader.recv())
    except EOFError:
        problem = f"its process ended with code {code}; {_LOG} in its folder tells more"
        if code == -signal.SIGKILL:
            problem = "its process was killed, as for want of memory: try fewer --jobs"
    finally:
        reader.close()
        process.close()
    return Outcome(None if problem else read_score(task.folder), problem)


def _work(
    scenario: Scenario, task: Task, places: Places, manifest: Path, writer: Connection
) -> None:
    """Run a trial in this process, which does nothing else, and tell what was wrong, if anything.

    Ctrl-C reaches every process of a terminal: the first of them decides what it means.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task.folder.mkdir(parents=True, exist_ok=True)
    problem = ""
    with (
        (task.folder / _LOG).open("a", encoding="utf-8") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        try:
            with PlainProgress(Console(file=log, width=100)) as watch:
                run_trial(scenario, task, places, manifest, watch)
        except LeukofedError as error:
            print(error, error.local_detail, sep="\n", file=sys.stderr)
            problem = error.problem
        writer.send(problem)
        writer.close()
