"""DukeMTMC-reID (Zheng et al., ICCV 2017), withdrawn by its makers; read where a user has it."""

from reidlab.data.readers.base import FlatReader, NamePattern

DUKEMTMC_REID = FlatReader(
    name="dukemtmc_reid",
    pattern=NamePattern(
        "<pid>_c<cam>_f<frame>.jpg",
        r"(?P<pid>\d{4})_c(?P<camid>[1-8])_f(?P<frame>\d{1,15})",
    ),
)
