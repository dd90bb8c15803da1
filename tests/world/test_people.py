"""People and dress: fixed by the seed, distributed as asked, and dressed alike where they should be."""

import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.world import Dress, Person, make_people
from reidlab.world.body import ANKLE_Y, BONES, mesh_of, pose

GARMENTS = ("upper", "upper_colour", "second_colour", "pattern", "lower", "lower_colour", "hair", "hair_colour", "hem")


def test_same_seed_same_people():
    assert make_people(20, Dress.summer(), 7) == make_people(20, Dress.summer(), 7)
    assert make_people(20, Dress.summer(), 7) != make_people(20, Dress.summer(), 8)


def test_a_person_does_not_depend_on_the_size_of_the_crowd():
    assert make_people(30, Dress.winter(), 3)[:5] == make_people(5, Dress.winter(), 3)


def test_pids_follow_first_pid():
    assert [p.pid for p in make_people(4, Dress.summer(), 0, first_pid=101)] == [101, 102, 103, 104]


def test_lookalikes_share_clothes_and_differ_in_something_small():
    people = make_people(30, Dress.summer(), 1, lookalikes=0.6, group_size=3)
    groups = {g: [p for p in people if p.group == g] for g in {p.group for p in people} - {-1}}
    assert sum(len(g) for g in groups.values()) == 18
    for members in groups.values():
        assert len(members) == 3
        for name in GARMENTS:
            assert len({getattr(p, name) for p in members}) == 1, name
        leader = members[0]
        for p in members[1:]:
            assert (p.bag, p.hat, p.shoes, p.scarf) != (leader.bag, leader.hat, leader.shoes, leader.scarf)
    assert all(p.group == -1 for p in people[18:])


def test_no_group_of_one():
    people = make_people(7, Dress.summer(), 1, lookalikes=4 / 7, group_size=3)
    assert [p.group for p in people] == [0, 0, 0, -1, -1, -1, -1]


def test_winter_is_darker_longer_and_more_alike_than_summer():
    summer, winter = (make_people(300, d, 0) for d in (Dress.summer(), Dress.winter()))
    tops = [np.array([p.upper_colour for p in people], float) for people in (summer, winter)]
    assert tops[1].mean() < 0.6 * tops[0].mean()
    assert tops[1].std(axis=0).mean() < 0.6 * tops[0].std(axis=0).mean()
    assert np.mean([p.hem > 0.25 for p in winter]) > 0.6 > 0.05 > np.mean([p.hem > 0.25 for p in summer])
    assert np.mean([p.hat != "none" or p.scarf is not None for p in winter]) > 0.6
    assert np.mean([p.lower in ("shorts", "skirt", "dress") for p in summer]) > 0.3
    assert all(p.lower not in ("shorts", "dress") for p in winter)


def test_blend_lies_between():
    def coats(dress):
        return np.mean([p.upper == "coat" for p in make_people(400, dress, 0)])

    low, middle, high = coats(Dress.summer()), coats(Dress.blend(0.5)), coats(Dress.winter())
    assert low < middle < high
    assert middle == pytest.approx(0.5 * (low + high), abs=0.08)
    assert Dress.blend(0.0) == Dress.summer()
    assert Dress.blend(1.0) == Dress.winter()


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: make_people(-1, Dress.summer(), 0), "n: -1"),
        (lambda: make_people(3, Dress.summer(), 0, lookalikes=1.5), "lookalikes"),
        (lambda: make_people(3, Dress.summer(), 0, group_size=1), "group_size"),
        (lambda: Dress.blend(2.0), "winter: 2.0"),
        (lambda: Dress(upper={"toga": 1.0}), "toga"),
        (lambda: Dress(lower={"jeans": -1.0}), "jeans"),
        (lambda: Dress(hat={"none": 0.0}), "hat"),
        (lambda: Dress(scarf=1.2), "scarf"),
        (lambda: Dress(accents=()), "accents"),
        (lambda: Dress(colour_spread=-1.0), "colour_spread"),
    ],
)
def test_bad_arguments_are_named(call, word):
    with pytest.raises(ConfigError, match=word):
        call()


@pytest.mark.parametrize("phase", np.linspace(0, 2 * np.pi, 9))
def test_walkers_touch_the_ground_and_keep_their_stature(phase):
    person = make_people(1, Dress.summer(), 4)[0]
    mesh = mesh_of(person)
    bones = pose(person, float(phase), 1.0)
    rings = np.einsum("rb,bij->rij", mesh.weights, bones)
    points = np.einsum("rij,rsj->rsi", rings[:, :, :3], mesh.points) + rings[:, None, :, 3]
    shoes = [i for i, name in enumerate(mesh.parts) if name.startswith("shoe")]
    soles = points[np.isin(mesh.part, shoes), :, 1]
    assert abs(soles.min()) < 0.03
    assert 0.92 * person.height_m < points[..., 1].max() < 1.03 * person.height_m


def test_standing_body_is_the_mesh_at_rest_but_for_bent_joints():
    person = Person(1, lean=0.0, arm_swing=0.0)
    bones = pose(person, 0.0, 0.0)
    chest = bones[BONES.index("chest")]
    np.testing.assert_allclose(chest[:, :3], np.eye(3), atol=1e-6)
    assert abs(chest[1, 3]) < 0.02 * ANKLE_Y * 100


def test_weights_of_every_ring_sum_to_one():
    for person in make_people(20, Dress.blend(0.5), 2):
        np.testing.assert_allclose(mesh_of(person).weights.sum(axis=1), 1.0, atol=1e-5)
