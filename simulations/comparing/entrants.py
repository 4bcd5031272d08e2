"""Who enters a comparison: arms of the study, and of its named variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import ConfigError
from common.study.schema import Study
from simulations.scenario import ARM_NAMES, ArmName

ALONE: ArmName = "local_only"


@dataclass(frozen=True)
class Entrant:
    """One way to come to a classifier, tried on every fold and with every seed."""

    name: str
    """As it is asked for: `pooled`, `VARIANT`, or `VARIANT/pooled`."""
    kind: ArmName
    study: Study

    @property
    def arms(self) -> tuple[str, ...]:
        """What is trained: one arm, or one for each site."""
        if self.kind == ALONE:
            return tuple(f"{ALONE}.{site}" for site in self.study.sites)
        return (self.kind,)

    def named(self, arm: str) -> str:
        """Return the name of one of its arms."""
        return f"{self.name}.{arm.removeprefix(f'{ALONE}.')}" if self.kind == ALONE else self.name


def entrants(names: Sequence[str], study: Study, variants: Mapping[str, Study]) -> list[Entrant]:
    """Return who is asked for.

    Args:
        names: arms of the study; variants, of which the federated arm is meant; or arms of
            variants, `VARIANT/ARM`.
        study: as the scenario settles it.
        variants: by name.

    Raises:
        ConfigError: a name is unknown, or given twice; or fewer than one is given.
    """
    kinds: dict[str, ArmName] = {name: name for name in ARM_NAMES}
    found: dict[str, Entrant] = {}
    for name in names:
        variant, _, arm = ("", "", name) if name in kinds else name.partition("/")
        kind = kinds.get(arm or "federated")
        chosen = variants.get(variant) if variant else study
        if kind is None or chosen is None:
            known = ", ".join([*ARM_NAMES, *variants])
            raise ConfigError(
                f"there is no arm {name}",
                fix=f"name some of: {known}; or an arm of a variant, as VARIANT/pooled",
            )
        if name in found:
            raise ConfigError(f"arm {name} is named twice", fix="name it once")
        found[name] = Entrant(name, kind, chosen)
    if not found:
        raise ConfigError("no arm is named", fix=f"name some of: {', '.join(ARM_NAMES)}")
    return list(found.values())
