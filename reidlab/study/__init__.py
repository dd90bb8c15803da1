"""What is compared: studies, their conditions, contrasts and seeds; registries of methods; rows of records; sheets."""

from reidlab.study.registry import Registry
from reidlab.study.rows import Row, gain_rows, score_rows
from reidlab.study.study import EMBEDDED, Budget, Condition, Contrast, Measured, Place, Result, Study, plain

__all__ = [
    "EMBEDDED",
    "Budget",
    "Condition",
    "Contrast",
    "Measured",
    "Place",
    "Registry",
    "Result",
    "Row",
    "Study",
    "gain_rows",
    "plain",
    "score_rows",
]
