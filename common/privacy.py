"""What leaves a site and what threatens it, in words: one source for docs, commands and pages."""

from dataclasses import dataclass

from common.study.phases import PhaseName


@dataclass(frozen=True)
class Leaving:
    """Something that leaves a site in a phase."""

    phase: PhaseName
    what: str
    form: str


LEAVES = (
    Leaving(
        "census",
        "examples per part and class (small counts withheld, their classes named, and the limit), "
        "groups per part and the column that groups, exclusions by reason; digests of the frozen "
        "weights; software versions, precision and threads",
        "integers and short words",
    ),
    Leaving(
        "census",
        "only where the study asks (`data.overlap`) and the site file allows (`limits.overlap`): "
        "one keyed hash per image of how it looks, under a key that the coordinator does not "
        "have; it counts equal ones of two sites, and keeps the counts only",
        "short hexadecimal words, sorted",
    ),
    Leaving(
        "backbones",
        "once, sums of the features and their squares; each round what training changed",
        "int64 sums; float16 differences, or what codes them (`compression` of the study)",
    ),
    Leaving(
        "backbones",
        "with it: training and validation examples, losses summed, validation images rightly "
        "classified",
        "numbers",
    ),
    Leaving(
        "backbones",
        "only where the study's `method` is `scaffold`: each round how the site's control variate "
        "changed, which is the mean gradient of its training steps less that of the round before; "
        "as many numbers again as the update, and as telling",
        "float16 differences",
    ),
    Leaving(
        "fusion",
        "the same, of the dense layers; not the softmax head where it is the site's own "
        "(`head: local`)",
        "int64 sums; differences as above; numbers",
    ),
    Leaving(
        "booster",
        "gradient and hessian sums per node, feature and bin; number of rows",
        "int64 sums",
    ),
    Leaving(
        "booster",
        "by `bagging` and `cyclic` instead: the trees that this site grew on its rows alone, with "
        "the value of every leaf and the summed hessian of every node; number of rows. The "
        "coordinator, and with the forest so far the other sites, see which trees are whose",
        "int32 and float32 tables",
    ),
    Leaving(
        "booster",
        "by `collective` instead, only where the site file allows it (`limits.booster`): through a "
        "connection of its own, past the gate and its log, extremes and quantiles of features and "
        "gradient and hessian sums; then the common trees; a certificate for one attempt; number "
        "of rows",
        "XGBoost's own messages; int32 and float32 tables; text",
    ),
    Leaving(
        "calibration",
        "log-loss sums over a grid of temperatures; number of images",
        "int64 sums",
    ),
    Leaving(
        "evaluation",
        "confusion, score histograms, calibration bins, losses, and bootstrap replicates of the "
        "counts; classes withheld",
        "int64 counts",
    ),
)
NEVER = "Images, file names and patients never leave."
NO_EPSILON = "No differential privacy is applied yet and no epsilon is claimed."

DOES: dict[PhaseName, str] = {
    "census": "reads every image once; counts examples by class and part, and proves that the "
    "frozen weights are the agreed ones",
    "backbones": "passes every view of every training image through the frozen networks once, "
    "keeps the result in the cache, and trains what comes after them",
    "fusion": "trains the two dense layers on the networks' features",
    "booster": "adds up gradients per node and bin, from which the coordinator grows trees; or "
    "grows trees itself, where the study's `mode` says so",
    "calibration": "adds up losses on the validation images, from which a temperature is chosen",
    "evaluation": "predicts the test and the validation images, and counts",
    "release": "nothing is asked of this site; the coordinator writes the model's bundle",
}
"""What a site does in each phase."""


@dataclass(frozen=True)
class Threat:
    """Someone who could do harm to a site."""

    who: str
    what: str
    """What they can do."""
    guard: str
    """What stands against it, and what remains."""


THREATS = (
    Threat(
        "the coordinator, by its signing key",
        "ask what an approved study asks, round by round, each step once in a run; and that in as "
        "many runs as the hospital allows (`limits.most_runs`)",
        "the worker runs approved studies only, digest for digest; the site file's limits; "
        "`leukofed-site withdraw` ends a study at once",
    ),
    Threat(
        "the coordinator, by what it receives",
        "read this site's own update, not only the sum of all; work out something of training "
        "images from it",
        "nothing technical yet: no noise is added and sums are not masked. The agreement between "
        "the parties must forbid it",
    ),
    Threat(
        "the coordinator and the other sites, by trees grown at one site (`bagging`, `cyclic`)",
        "read off each leaf's value and each node's summed hessian how many of that site's rows "
        "lie there, and of which class; a leaf may stand for a few images",
        "`min_child_weight` keeps leaves from being too small; a hospital may leave these modes "
        "out (`limits.booster`). Neither noise nor masks",
    ),
    Threat(
        "the coordinator, by equal hashes of images (only with `limits.overlap`)",
        "learn that two hospitals hold the same image, and how many such; with the hospitals' "
        "key, or the help of one that has it, also whether a hospital holds an image that it knows",
        "off unless the hospital sets it; HMAC-SHA256 under a key that only hospitals share; "
        "sorted, each once, and not kept. Nothing technical keeps a hospital from giving the key "
        "away: the agreement between the parties must forbid it",
    ),
    Threat(
        "whoever controls the carrier, or the network",
        "fall silent; keep, repeat or mix up what the coordinator signed, which gets the same "
        "bytes again or none; see what passes, unless it is only the network",
        "a signature on every request; TLS on the way. The carrier sees the replies, but neither "
        "images nor the site's records",
    ),
    Threat(
        "a stranger who reaches the coordinator's port",
        "nothing at a site; at the coordinator try to pass for one",
        "the coordinator's front knows the keys of admitted sites and answers nobody else",
    ),
    Threat(
        "whoever can run code as the carrier's user",
        "the same: that user can read neither images nor the site's records",
        "the worker is another user's process and has no network; an import guard refuses code "
        "that was not installed here",
    ),
    Threat(
        "other hospitals, and whoever receives the released model",
        "study the model, which may remember something of its training images",
        "they receive no single site's update; of two sites, each can work out the other's. Rare "
        "images can be left out of the manifest",
    ),
    Threat(
        "the hospital's administrators",
        "everything; `leukofed-site status` shows them what the worker is at",
        "the hospital's own rules; a chained log shows what left, and whether a line was changed",
    ),
)
