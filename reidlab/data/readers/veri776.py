"""VeRi-776 (Liu et al., ECCV 2016): vehicles instead of people, otherwise like Market-1501."""

from reidlab.data.readers.base import FlatReader, NamePattern

VERI776 = FlatReader(
    name="veri776",
    pattern=NamePattern(
        "<vehicle>_c<cam>_<frame>_<k>.jpg", r"(?P<pid>\d{4})_c(?P<camid>\d{3})_(?P<frame>\d{1,15})_\d+"
    ),
    folders=(("train", "image_train"), ("query", "image_query"), ("gallery", "image_test")),
)
