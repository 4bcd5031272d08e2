"""Label sets, and how a hospital's words are taken for a study's classes."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

import yaml

FOUR_CLASS = ("Benign", "Early", "Pre", "Pro")
"""Hematogones, and three stages of B-cell ALL, as the Taleqani images are labelled."""
BINARY = ("normal", "ALL")
"""Healthy and leukaemic."""
FAB = ("L1", "L2", "L3")
"""The classes of the French-American-British group."""

_IGNORED = re.compile(r"[\s_\u2010-\u2015-]+")
_DENIED = re.compile(r"(abnorm|non|not|no[^a-z]|un)")  # what such a word is near, it is not
_PLAIN = re.compile(r"[A-Za-z][\w./+ -]*[\w+]|[A-Za-z]")  # needs no quotes in YAML
_NEAR = 0.6  # of difflib's ratio
_SPELT = {  # words of many laboratories: suggested, never applied
    "haematogone": "Benign", "hematogone": "Benign", "haematogones": "Benign",
    "hematogones": "Benign", "early pre-b": "Early", "pre-b": "Pre", "pro-b": "Pro",
    "healthy": "normal", "hem": "normal", "negative": "normal", "blast": "ALL",
    "leukaemia": "ALL", "leukemia": "ALL", "lymphoblast": "ALL", "positive": "ALL",
}  # fmt: skip


def bare(word: str) -> str:
    """Return what counts of a word: no case, spaces, hyphens or underscores."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", word).casefold())


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a study, and the other words that stand for them."""

    classes: tuple[str, ...]
    words: Mapping[str, str | None] = field(default_factory=dict)
    """A class, or None where images of this word are left out; another value is only told."""

    @cached_property
    def _meanings(self) -> dict[str, str | None]:
        named = {bare(name): name for name in self.classes}
        meanings: dict[str, str | None] = dict(named)
        for word, target in self.words.items():
            if target is None or bare(target) in named:
                meanings[bare(word)] = None if target is None else named[bare(target)]
        return meanings

    def knows(self, word: str) -> bool:
        """Say whether a word is a class, stands for one, or is to be left out."""
        return bare(word) in self._meanings

    def meaning(self, word: str) -> str | None:
        """Return the class of a word that is known; None: its images are left out."""
        return self._meanings[bare(word)]

    def uses(self, word: str) -> bool:
        """Say whether images of a word are not to be left out."""
        return self._meanings.get(bare(word), word) is not None

    def misnamed(self, word: str) -> str | None:
        """Return what a word that is not known was said to stand for: no class of this study."""
        said = {bare(known): target for known, target in self.words.items()}
        return None if self.knows(word) else said.get(bare(word))

    def suggestion(self, word: str) -> str | None:
        """Return the class that an unknown word, or what it was said to stand for, may mean."""
        return self.nearest(self.misnamed(word) or word)

    def nearest(self, word: str) -> str | None:
        """Return the class that an unknown word may mean; None if nothing is near."""
        if _DENIED.match(word.casefold().strip()):
            return None
        usual = {bare(name): target for name, target in _SPELT.items() if self.knows(target)}
        near = usual | {name: name for name in self._meanings}
        inside = [run for run in _runs(word) if run in near and len(run) > 1]
        found = inside or get_close_matches(bare(word), near, n=1, cutoff=_NEAR)
        return self.meaning(near[found[0]]) if found else None


def _runs(word: str) -> list[str]:
    """Return what stands between brackets, spaces and hyphens, and neighbours too; long first."""
    parts = [part for part in re.split(r"[\W_]+", word.casefold()) if part][:12]
    ends = range(1, len(parts) + 1)
    runs = ["".join(parts[start:end]) for end in ends for start in range(end)]
    return sorted(runs, key=len, reverse=True)


def words_for(
    classes: Sequence[str], collapse: Mapping[str, str], own: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Join a study's collapse with a hospital's own words; the hospital's come first.

    Args:
        classes: the study's.
        collapse: the study's; labels that stand for a class.
        own: the hospital's; words for a class, or for a label that the study collapses.
    """
    study = Vocabulary(tuple(classes), collapse)
    joined: dict[str, str | None] = dict(collapse)
    for word, target in own.items():
        if target is None or study.knows(target):
            joined = {other: known for other, known in joined.items() if bare(other) != bare(word)}
            joined[word] = None if target is None else study.meaning(target)
        elif not study.knows(word):
            joined[word] = target
    return joined


def own_terms(word: str, own: Mapping[str, str | None]) -> str | None:
    """Return what a hospital says that a word stands for; None: left out; else the word itself."""
    return {bare(known): target for known, target in own.items()}.get(bare(word), word)


def lines_to_add(unknown: Mapping[str, int], vocabulary: Vocabulary, most: int = 50) -> list[str]:
    """Return YAML that gives unknown words a meaning: the nearest class, or none.

    Args:
        unknown: images of each word.
        vocabulary: which does not know them.
        most: words shown; the rest is counted.
    """
    return ["labels:", *_entries(spellings(unknown), vocabulary, most)]


def spellings(words: Mapping[str, int]) -> dict[str, int]:
    """Add up the spellings of each word under the most frequent one; frequent words come first."""
    ordered = sorted(words.items(), key=lambda one: (-one[1], one[0]))
    first: dict[str, str] = {}
    added: dict[str, int] = {}
    for word, count in ordered:
        known = first.setdefault(bare(word), word)
        added[known] = added.get(known, 0) + count
    return dict(sorted(added.items(), key=lambda one: (-one[1], one[0])))


def _entries(words: Mapping[str, int], vocabulary: Vocabulary, most: int) -> Iterator[str]:
    ordered = list(words.items())
    for word, count in ordered[:most]:
        said, near = vocabulary.misnamed(word), vocabulary.suggestion(word)
        images = f"{count} image{'s' * (count != 1)}"
        why = "a guess: check it" if near else "no class is near; null leaves them out"
        why = f"{said} is no class of this study; {why}" if said else why
        yield f"  {entry(word, near)}  # {images}; {why}"
    if ordered[most:]:
        yield f"  # and {len(ordered) - most} more words"


def entry(word: str, target: str | None) -> str:
    """Return a word and its class as one entry of a YAML mapping."""
    return f"{_scalar(word)}: {'null' if target is None else _scalar(target)}"


def _scalar(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and yaml.safe_load(text) == text
    return text if is_plain else json.dumps(text, ensure_ascii=False)
