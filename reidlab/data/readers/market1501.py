"""Market-1501 (Zheng et al., ICCV 2015): identity -1 is junk, 0 a distractor."""

from reidlab.data.readers.base import FlatReader, NamePattern

MARKET1501 = FlatReader(
    name="market1501",
    pattern=NamePattern(
        "<pid>_c<cam>s<seq>_<frame>_<box>.jpg",
        r"(?P<pid>-1|\d{4,9})_c(?P<camid>[1-9]\d{0,3})s\d+_(?P<frame>\d{1,15})_\d+",
    ),
    distractor=0,
)
