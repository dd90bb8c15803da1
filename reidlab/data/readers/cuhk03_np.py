"""CUHK03 under its new protocol (Zhong et al., CVPR 2017): 767 training and 700 test identities, two kinds of boxes.

``detected`` boxes come from a detector, ``labeled`` ones were drawn by hand; they are two data sets to an evaluation.
"""

from reidlab.data.readers.base import FlatReader, NamePattern

_NAMES = NamePattern("<pid>_c<cam>_<k>.png", r"(?P<pid>\d{4})_c(?P<camid>[12])_\d+(?:_\d+)?")

CUHK03_NP_DETECTED = FlatReader(name="cuhk03_np_detected", pattern=_NAMES, inside="detected")
CUHK03_NP_LABELED = FlatReader(name="cuhk03_np_labeled", pattern=_NAMES, inside="labeled")
