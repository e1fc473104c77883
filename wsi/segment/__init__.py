"""From an image or a volume to a mask: the network, its loss, and how a whole field is read."""

from wsi.segment.grid import labels_on, labels_under
from wsi.segment.infer import Reading, mirrored_mean, probabilities
from wsi.segment.loss import IGNORED, mask_loss
from wsi.segment.postprocess import postprocessed
from wsi.segment.unet import UNet, UNetSpec, make_unet
from wsi.segment.vote import Network, Vote, empty_network, voting

__all__ = [
    "IGNORED", "Network", "Reading", "UNet", "UNetSpec", "Vote", "empty_network", "labels_on", "labels_under", "make_unet",
    "mask_loss", "mirrored_mean", "postprocessed", "probabilities", "voting",
]  # fmt: skip
