"""Pre-trained weights: where they are, what they hold, and what to do when they are missing."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from common.digests import digest_arrays
from common.errors import WeightsError
from common.study.network import Backbone, Network

Arrays = dict[str, NDArray[Any]]
USER_CACHE = Path("~/.cache/leukofed/weights")


def weights_file(network: Network, backbone: Backbone, folder: Path | None) -> Path:
    """Return where the weights of a backbone must be.

    Args:
        network: tells the kind of weights.
        backbone: names the architecture.
        folder: the site's weights folder; None: the user's cache.
    """
    name = f"{backbone.architecture}.safetensors"
    if network.weights == "bundled":
        return Path(str(files("configs"))) / "weights" / name
    return (folder or USER_CACHE.expanduser()) / name


def read_weights(network: Network, backbone: Backbone, folder: Path | None) -> Arrays:
    """Read the tensors of a backbone and check them against the study's digest.

    Returns:
        Tensors by timm's names, float16 or float32, as stored.

    Raises:
        WeightsError: the file is missing or unreadable, or its tensors are not the agreed ones.
    """
    path = weights_file(network, backbone, folder)
    try:
        arrays = load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(
            f"the {network.weights} weights of {backbone.architecture} are not on this machine",
            fix=f"put {path.name} (timm's tensor names, no classifier; for example "
            f"{backbone.architecture}.tf_in1k from timm's hub, saved with safetensors) into the "
            "weights folder named by --weights or the site file",
            local_detail=f"looked for {path}",
        ) from error
    except (OSError, SafetensorError, TypeError) as error:  # NumPy does not know bfloat16
        raise WeightsError(
            f"the weights of {backbone.architecture} cannot be read",
            fix="fetch the file again, with tensors saved as float16 or float32",
            local_detail=f"{path}: {error}",
        ) from error
    found = digest_arrays(arrays)
    if backbone.weights_digest not in (None, found):
        raise WeightsError(
            f"the weights of {backbone.architecture} have digest {found[:12]}, "
            f"the study wants {str(backbone.weights_digest)[:12]}",
            fix="use the file that the study's coordinator names",
            local_detail=str(path),
        )
    return arrays


def pin_weights(network: Network, folder: Path | None) -> Network:
    """Note in the network the digest of each backbone's weights, as they lie on this machine.

    Raises:
        WeightsError: as `read_weights`.
    """
    if network.weights == "random":
        return network
    pinned = tuple(
        backbone.model_copy(
            update={"weights_digest": digest_arrays(read_weights(network, backbone, folder))}
        )
        for backbone in network.backbones
    )
    return network.model_copy(update={"backbones": pinned})
