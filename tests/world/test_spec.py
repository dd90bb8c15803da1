"""WorldSpec: what it accepts, what it refuses, and what its key depends on."""

import subprocess
import sys
from dataclasses import fields

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab.errors import ConfigError
from reidlab.world import SCENARIOS, Nuisances, WorldSpec, domains, scenario
from reidlab.world.spec import world_code_hash

RANGED = {item.name: item for item in fields(WorldSpec) if "range" in item.metadata}


def test_every_number_has_a_range_and_a_line_of_documentation():
    free = {item.name for item in fields(WorldSpec)} - RANGED.keys()
    assert free == {"name", "place", "seed", "camera_seed", "scenes", "fault_splits", "nuisances"}
    for item in fields(WorldSpec):
        assert item.name in WorldSpec.__doc__


@pytest.mark.parametrize("name", RANGED)
def test_a_value_beyond_its_range_is_refused_with_field_value_and_range(name):
    low, high = RANGED[name].metadata["range"]
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=rf"WorldSpec\.{name}: .*{low:g}\.\.{high:g}"):
            WorldSpec.from_dict({name: value})
    assert getattr(WorldSpec.from_dict({name: low}), name) == low


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train_poeple": 3}, "did you mean 'train_people'"),
        ({"xyzzy": 3}, "xyzzy: WorldSpec has no such parameter; there is: name, place"),
        ({"cameras": 2.5}, "integer"),
        ({"cameras": True}, "integer"),
        ({"frame_rate": "ten"}, "number"),
        ({"seed": 1.5}, "seed"),
        ({"seed": None}, "seed"),
        ({"name": "a/b"}, "letters"),
        ({"place": ""}, "letters"),
        ({"scenes": ["moon"]}, "moon"),
        ({"scenes": []}, "empty"),
        ({"scenes": "street"}, "list"),
        ({"fault_splits": ["gallery"]}, "train, test"),
        ({"nuisances": {"drfit": 0.1}}, "did you mean 'drift'"),
        ({"nuisances": {"drift": 1.1}}, "drift"),
        ({"nuisances": 3}, "Nuisances"),
    ],
)
def test_bad_input_is_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        WorldSpec.from_dict(values)


@pytest.mark.parametrize("text", ["[1, 2", "- 1\n- 2\n", "3"])
def test_text_that_holds_no_spec_is_refused(text):
    with pytest.raises(ConfigError):
        WorldSpec.from_yaml(text)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(-(2**63), 2**63),
    cameras=st.integers(1, 9),
    winter=st.floats(0, 1),
    drift=st.floats(0, 1),
    splits=st.lists(st.sampled_from(["train", "test"]), unique=True),
)
def test_yaml_round_trip(seed, cameras, winter, drift, splits):
    spec = WorldSpec(
        seed=seed, cameras=cameras, winter=winter, fault_splits=tuple(splits), nuisances=Nuisances(drift=drift)
    )
    again = WorldSpec.from_yaml(spec.to_yaml())
    assert again == spec
    assert again.key() == spec.key()
    assert set(yaml.safe_load(spec.to_yaml())) == {item.name for item in fields(WorldSpec)}


def test_the_key_is_the_same_in_another_process():
    code = "from reidlab.world import WorldSpec; print(WorldSpec(seed=5).key())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == WorldSpec(seed=5).key()


def test_the_key_changes_with_every_field_but_not_with_how_a_number_is_written():
    base = WorldSpec()
    keys = {base.key()}
    for name, item in RANGED.items():
        low, high = item.metadata["range"]
        keys.add(base.with_(**{name: low if getattr(base, name) != low else high}).key())
    for item in fields(Nuisances):
        keys.add(base.with_(**{item.name: 0.123}).key())
    assert len(keys) == 1 + len(RANGED) + len(fields(Nuisances))
    assert base.with_(winter=1, drift=1).key() == base.with_(winter=1.0, drift=1.0).key()


def test_the_code_hash_sees_code_and_not_comments(tmp_path):
    hashes = []
    for number, text in enumerate(
        [
            '"""a"""\ndef f():\n    """b"""\n    return 1\n',
            "def f():  # c\n\n    return 1\n",
            "def f():\n    return 2\n",
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "m.py").write_text(text)
        hashes.append(world_code_hash(folder))
    assert hashes[0] == hashes[1] != hashes[2]


def test_with_changes_fields_of_the_spec_and_of_its_nuisances():
    spec = WorldSpec().with_(seed=4, drift=0.2, nuisances={"blur": 0.1})
    assert (spec.seed, spec.nuisances.drift, spec.nuisances.blur) == (4, 0.2, 0.1)
    assert spec.nuisances.noise == WorldSpec().nuisances.noise
    assert WorldSpec().with_(nuisances=Nuisances()).nuisances == Nuisances()
    with pytest.raises(ConfigError, match="did you mean 'box_jitter'"):
        WorldSpec().with_(box_jiter=0.1)


def test_scenarios_are_valid_and_overridable():
    for name in SCENARIOS:
        assert scenario(name, seed=9).seed == 9
        assert WorldSpec.from_yaml(scenario(name).to_yaml()) == scenario(name)
    assert len({spec.name for spec in SCENARIOS.values()}) == len(SCENARIOS)
    with pytest.raises(ConfigError, match="did you mean 'standard'"):
        scenario("standart")
    with pytest.raises(ConfigError, match="people: a world has no such parameter"):
        scenario("standard", people=3)


def test_summer_and_winter_differ_in_dress_alone():
    summer, winter = scenario("summer", seed=2), scenario("winter", seed=2)
    assert winter.with_(name=summer.name, winter=summer.winter) == summer


def test_domains_share_overrides():
    specs = domains(seed=3, train_people=5)
    assert {spec.seed for spec in specs.values()} == {3}
    assert len({spec.name for spec in specs.values()}) == len(specs) == 2
