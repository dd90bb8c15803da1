"""The embedded world: synthetic pedestrians seen by surveillance cameras, drawn from a seed.

It stands in for data sets that cannot be shipped. It is made of people (:mod:`~reidlab.world.people`,
:mod:`~reidlab.world.dress`), cameras (:mod:`~reidlab.world.camera`) and a renderer (:mod:`~reidlab.world.render`).
"""

from reidlab.world.camera import Camera, Look, Occluder, make_cameras
from reidlab.world.dress import Dress
from reidlab.world.nuisances import Nuisances
from reidlab.world.people import Person, make_people
from reidlab.world.render import Actor, Renderer

__all__ = [
    "Actor", "Camera", "Dress", "Look", "Nuisances", "Occluder", "Person", "Renderer", "make_cameras", "make_people",
]  # fmt: skip
