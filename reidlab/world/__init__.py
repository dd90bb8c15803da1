"""The embedded world: synthetic pedestrians seen by surveillance cameras, drawn from a seed.

It stands in for data sets that cannot be shipped. :mod:`~reidlab.world.people` and :mod:`~reidlab.world.dress` draw
identities, :mod:`~reidlab.world.camera` cameras, and :mod:`~reidlab.world.render` pictures;
:mod:`~reidlab.world.scene` simulates who walks where, :mod:`~reidlab.world.recording` adds detection, tracking and
label errors, and :mod:`~reidlab.world.export` writes the formats of real data sets.

Example:
    >>> from reidlab.world import cached, scenario
    >>> folder = cached(scenario("easy", seed=1), "market1501")  # doctest: +SKIP
"""

from reidlab.world.cache import cached
from reidlab.world.camera import Camera, Look, Occluder, make_cameras
from reidlab.world.dress import Dress
from reidlab.world.export import LAYOUTS, export_market, export_mars, export_mot, export_sites
from reidlab.world.nuisances import Nuisances
from reidlab.world.people import Person, make_people
from reidlab.world.render import Actor, Renderer
from reidlab.world.scenarios import SCENARIOS, domains, scenario
from reidlab.world.scene import Scene, Session, Visit
from reidlab.world.spec import WorldSpec

__all__ = [
    "LAYOUTS", "SCENARIOS", "Actor", "Camera", "Dress", "Look", "Nuisances", "Occluder", "Person", "Renderer", "Scene",
    "Session", "Visit", "WorldSpec", "cached", "domains", "export_market", "export_mars", "export_mot", "export_sites",
    "make_cameras", "make_people", "scenario",
]  # fmt: skip
