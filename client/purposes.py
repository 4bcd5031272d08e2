"""Why replies leave a site."""

from collections.abc import Mapping

from common.asks import Work

PURPOSES: Mapping[Work, str] = {
    "census": "counts of images per part and class, versions and digests of the frozen weights: "
    "whether the site can take part, and with how much",
    "moments": "sums of the features and their squares over the training images: features are "
    "standardised alike at every site",
    "fit heads": "what training changed in the two softmax heads, with counts and summed losses",
    "fit tails": "what training changed in tails and heads, with counts and summed losses",
    "fit fusion": "what training changed in the dense layers, with counts and summed losses",
    "booster": "sums of gradients and hessians over the training images, per node, feature and "
    "bin: from all sites' sums the trees are grown",
    "trees": "the trees that this site grows on its own rows: all sites' are joined, or each site "
    "takes its turn",
    "collective": "a certificate for one attempt; what passes between the sites does not pass here",
    "calibration": "log-losses of the validation images, summed over a grid of temperatures",
    "evaluation": "counts of right and wrong predictions on images that were not trained on, "
    "with histograms and resampled counts for intervals",
}
"""Why each kind of work's reply leaves a site, in a sentence."""
