from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from common.digests import digest_arrays
from common.errors import ConfigError
from common.imaging.pipeline import prepare
from common.imaging.synthetic import calibration_smears
from common.model.initial import build_branches, check_chains, initial_model, released_branches
from common.model.network import Branch, front_arrays, front_digest, trained_arrays
from common.seeds import stream
from common.study.network import Backbone
from common.study.schema import Study, load_study
from tests.support.small import PAIR, small_study

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "weights"
RANDOM = small_study("random", PAIR[:1])


@pytest.fixture(scope="module")
def random_branch() -> Branch:
    return build_branches(RANDOM, None)[0]


def calibration_batches(study: Study) -> list[torch.Tensor]:
    """Prepare the generated smears anew: four batches of 16, in [-1, 1]."""
    smears = calibration_smears(study.seed, 64, study.imaging.size)
    pixels = np.stack([prepare(smear, study.imaging) for smear in smears]).astype(np.float32)
    return list(torch.from_numpy(pixels / 127.5 - 1).permute(0, 3, 1, 2).chunk(4))


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


def test_the_first_batch_norm_holds_the_statistics_of_its_input(random_branch: Branch) -> None:
    stem = random_branch.front[0]
    convolution = next(m for m in stem.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        maps = [convolution(batch).double() for batch in calibration_batches(RANDOM)]
    mean = torch.stack([m.mean(dim=(0, 2, 3)) for m in maps]).mean(dim=0)
    variance = torch.stack([m.var(dim=(0, 2, 3)) for m in maps]).mean(dim=0)
    first = norms(stem)[0]
    assert first.running_mean is not None
    assert first.running_var is not None
    torch.testing.assert_close(first.running_mean.double(), mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(first.running_var.double(), variance, rtol=1e-4, atol=1e-6)


def test_activations_after_calibration_are_of_moderate_size(random_branch: Branch) -> None:
    """Every BatchNorm's output is near mean 0, variance 1; uncalibrated, depth undoes that."""
    seen: list[torch.Tensor] = []
    hooks = [
        norm.register_forward_hook(
            lambda module, given, out: seen.append(
                nn.functional.batch_norm(
                    given[0], module.running_mean, module.running_var, eps=module.eps
                )
            )
        )
        for norm in norms(random_branch)
    ]
    with torch.inference_mode():
        features = random_branch.tail(random_branch.front(torch.cat(calibration_batches(RANDOM))))
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(norms(random_branch)) > 5
    for normalised in seen:
        assert normalised.mean(dim=(0, 2, 3)).abs().max() < 0.5
        assert 0.2 < normalised.var(dim=(0, 2, 3)).median() < 2
    assert torch.isfinite(features).all()
    assert 1e-3 < features.std() < 100


def test_random_weights_come_from_the_seed_alone(random_branch: Branch) -> None:
    torch.manual_seed(12345)  # another state of torch's global generator
    again = build_branches(RANDOM, None)[0]
    other = build_branches(RANDOM.model_copy(update={"seed": 2}), None)[0]
    assert front_digest(again) == front_digest(random_branch) != front_digest(other)
    expected = digest_arrays(trained_arrays([random_branch], "tails"))
    assert digest_arrays(trained_arrays([again], "tails")) == expected
    assert digest_arrays(trained_arrays([other], "tails")) != expected


def test_the_initial_model_depends_on_the_seed_and_nothing_else() -> None:
    def made(seed: int, global_seed: int) -> str:
        torch.manual_seed(global_seed)
        study = small_study(seed=seed)
        return initial_model(study, build_branches(study, None)).digest

    assert made(1, 10) == made(1, 11)
    assert made(2, 10) != made(1, 10)


def test_the_initial_model_holds_what_the_branches_hold() -> None:
    study = small_study()
    branches = build_branches(study, None)
    model = initial_model(study, branches)
    assert set(model.parts) == {"constants", "tails", "heads", "fusion"}
    for name in ("constants", "tails"):
        assert digest_arrays(model.parts[name]) == digest_arrays(trained_arrays(branches, name))
    assert all((array == 0).all() for array in model.parts["heads"].values())
    assert model.fronts == {branch.architecture: front_digest(branch) for branch in branches}
    shapes = {name: array.shape for name, array in model.parts["fusion"].items()}
    width = sum(branch.width for branch in branches)
    assert shapes == {
        "h1.weight": (8, width), "h1.bias": (8,), "h2.weight": (4, 8), "h2.bias": (4,),
        "head.weight": (4, 4), "head.bias": (4,),
    }  # fmt: skip


def test_a_deeper_cut_moves_tensors_from_tail_to_front() -> None:
    shallow, deep = (
        build_branches(small_study(backbones=[PAIR[0].model_copy(update={"cut": cut})]), None)
        for cut in ("stages.1", "stages.2")
    )
    assert len(front_arrays(shallow)) < len(front_arrays(deep))
    assert front_digest(shallow[0]) != front_digest(deep[0])


def test_a_release_gives_the_branches_back_without_weights() -> None:
    study = small_study()
    branches = build_branches(study, None)
    generator = stream(1, "released")
    moments = {
        f"{branch.architecture}/{name}": generator.uniform(0.5, 2, branch.width).astype(np.float32)
        for branch in branches
        for name in ("mean", "scale")
    }
    heads = {
        name: generator.normal(size=array.shape).astype(np.float32)
        for name, array in trained_arrays(branches, "heads").items()
    }
    parts = {name: trained_arrays(branches, name) for name in ("constants", "tails")}
    parts |= {"fronts": front_arrays(branches), "moments": moments, "heads": heads}
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    for branch, released in zip(branches, released_branches(study, parts), strict=True):
        name = branch.architecture
        with torch.inference_mode():
            features = branch.tail(branch.front(image))
            expected = (features - torch.from_numpy(moments[f"{name}/mean"])) * torch.from_numpy(
                moments[f"{name}/scale"]
            ) @ torch.from_numpy(heads[f"{name}/weight"]).T + torch.from_numpy(
                heads[f"{name}/bias"]
            )
            found = released.logits(released.tail(released.front(image)))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_check_chains_names_the_backbone_that_cannot_be_cut() -> None:
    check_chains(small_study())
    wrong = Backbone(architecture="starnet_s050", cut="stages.9")
    with pytest.raises(ConfigError, match=r"starnet_s050 has no stage 'stages\.9'"):
        check_chains(small_study(backbones=[PAIR[0], wrong]))


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no ImageNet weights in {REAL}")
def test_the_papers_pair_builds_from_imagenet_weights() -> None:
    study = load_study(ROOT / "configs" / "studies" / "xincept-all.yaml")
    check_chains(study)
    branches = build_branches(study, REAL)
    assert [branch.width for branch in branches] == [2048, 2048]
    eps = {norm.eps for norm in norms(branches[1])}
    assert branches[1].architecture == "legacy_xception"
    assert eps == {1e-3}
    default = timm.create_model("legacy_xception", pretrained=False, num_classes=0)
    assert {norm.eps for norm in norms(default)} == {1e-5}  # what the study's setting corrects
    image = torch.from_numpy(stream(1, "real").uniform(-1, 1, (1, 3, 299, 299)).astype(np.float32))
    with torch.inference_mode():
        for branch in branches:
            features = branch.tail(branch.front(image))
            assert torch.isfinite(features).all()
            assert features.std() > 0
