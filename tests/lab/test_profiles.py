"""Profiles: every slip of the pen stops before anything runs. The oracle for parameters is papermill itself."""

import ast

import pytest

from reidlab.errors import ConfigError
from reidlab.lab import profiles, runner
from reidlab.lab.notebook import parameters_of
from reidlab.lab.project import Project
from tests.lab.made_up_project import code, write_chapter, write_notebook, write_profiles


def test_parameters_are_those_papermill_sees(project):
    papermill = pytest.importorskip("papermill")
    path = write_chapter(
        project,
        "02_many",
        parameters="a = 1\nb: float = 0.5  # rate\nc = 'x'\nd = [1, 2]\ne = None\nf = True\ng = {'k': 1}\nh = (3, 4)",
    )
    seen = papermill.inspect_notebook(str(path))
    assert parameters_of(path) == {name: ast.literal_eval(entry["default"]) for name, entry in seen.items()}


def test_a_profile_lays_its_values_over_the_notebooks(project):
    quick = profiles.load(project, "quick")
    assert profiles.resolve(project, quick, "01_tiny", {}) == {"seeds": [0], "epochs": 3, "name": "quiet"}
    assert profiles.resolve(project, quick, "01_tiny", {"epochs": 9})["epochs"] == 9


def test_defaults_reach_the_chapters_that_have_the_parameter(project):
    write_chapter(project, "02_other", parameters="seeds = [0]\nwidth = 8")
    write_profiles(project, standard="defaults: {seeds: [1, 2], width: 16}\n01_tiny: {}\n02_other: {width: 4}\n")
    chapters = profiles.load(project, "standard").chapters
    assert chapters == {"01_tiny": {"seeds": [1, 2]}, "02_other": {"seeds": [1, 2], "width": 4}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01_tinny: {}", r"quick\.yml: no chapter '01_tinny' in .*; did you mean '01_tiny'"),
        ("01_tiny: {epoch: 3}", r"quick\.yml: 01_tiny: unknown parameter 'epoch'; did you mean 'epochs'"),
        ("01_tiny: {epochs: many}", r"01_tiny: epochs: expected a whole number like 2, found 'many'"),
        ("01_tiny: {epochs: 2.5}", r"epochs: expected a whole number"),
        ("01_tiny: {epochs: true}", r"epochs: expected a whole number"),
        ("01_tiny: {epochs: null}", r"epochs: expected a whole number"),
        ("01_tiny: {epochs: -5}", r"01_tiny: epochs: -5 is not allowed; expected a number of at least 0, like 2"),
        ("01_tiny: {seeds: 3}", r"seeds: expected a list like \[0\], found 3"),
        ("01_tiny: {seeds: [0, x]}", r"seeds\[1\]: expected a whole number"),
        ("01_tiny: {name: 3}", r"name: expected text like 'quiet', found 3$"),
        ("01_tiny: {epochs: 010}", r"expected a whole number like 2, found '010', a text; write 10 for a number$"),
        ("01_tiny: {epochs: 1:30}", r"expected a whole number like 2, found '1:30'$"),
        ("01_tiny: {seeds: [0, 07]}", r"seeds\[1\]: expected a whole number like 0, found '07', a text; write 7"),
        ("01_tiny: [1]", r"01_tiny: expected parameters, found \[1\]"),
        ("defaults: {width: 3}\n01_tiny: {}", r"defaults: no chapter of this profile has a parameter 'width'"),
        ("- 01_tiny", r"expected a mapping of chapter ids, found list"),
        ("01_tiny: {epochs: 3}\n01_tiny: {epochs: 4}", r"line 2: '01_tiny' stands twice"),
        ("01_tiny: {epochs: 3", r"quick\.yml: not valid YAML \(line 1"),
        ("", r"expected a mapping of chapter ids, found NoneType"),
    ],
)
def test_a_slip_in_a_profile_is_named(project, text, message):
    write_profiles(project, quick=text)
    with pytest.raises(ConfigError, match=message):
        profiles.load(project, "quick")


def test_a_profile_that_is_not_there_is_named(project):
    with pytest.raises(ConfigError, match=r"no profile 'quik'; did you mean 'quick'"):
        profiles.load(project, "quik")


@pytest.mark.parametrize("name", ["../x", "../profiles/quick", "", ".", "/etc/passwd", "a\nb", "\x1b[31m", "a" * 101])
def test_a_profile_has_a_name(project, name):
    (project.notebooks / "x.yml").write_text("01_tiny: {}\n")
    with pytest.raises(ConfigError, match=r"^profile: '.*' is no name") as caught:
        profiles.load(project, name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["pieces", "quick.custom", "quick.verify"])
def test_a_profile_is_not_called_as_the_run_store_calls_its_own(project, name):
    write_profiles(project, **{name: "01_tiny: {}\n"})
    with pytest.raises(ConfigError, match=f"profile: '{name}' is a name of the run store's own"):
        runner.plan(project, ["1"], name)


def test_traps_of_yaml_are_texts_for_parameters_of_every_kind():
    own = {"rate": 0.5, "plain": True, "name": "x"}
    assert profiles.check(profiles.parse_changes(["rate=1e-3", "name=010"]), own, "here") == {
        "rate": 1e-3,
        "name": "010",
    }
    for pair, message in (
        ("rate=010", "rate: expected a number like 0.5, found '010', a text; write 10.0 for a number"),
        ("rate='1e-3'", "found '1e-3', a text; write 0.001 for a number"),
        ("rate=1_000", "found '1_000', a text; write 1000.0"),
        ("rate=nan", "expected a number like 0.5, found 'nan'"),
        ("plain=yes", "plain: expected true or false like True, found 'yes', a text; write true"),
        ("plain=off", "found 'off', a text; write false"),
    ):
        with pytest.raises(ConfigError, match=message):
            profiles.check(profiles.parse_changes([pair]), own, "here")


def test_a_notebook_whose_file_has_no_chapters_name_is_no_chapter(project):
    for name in ("Untitled 1", "\x1b[31m", ".hidden"):
        write_chapter(project, name)
    assert project.chapters() == ["01_tiny"]
    with pytest.raises(ConfigError, match=r"no chapter '\.\./01_tiny'"):
        project.chapter("../01_tiny")


def test_a_chapter_outside_the_profile_is_refused(project):
    write_chapter(project, "02_other")
    with pytest.raises(ConfigError, match=r"quick\.yml: does not name chapter '02_other'; add it there"):
        runner.plan(project, ["2"], "quick")


@pytest.mark.parametrize(
    ("default", "given", "expected"),
    [(0.5, 1, 1.0), (0.5, 1e-3, 0.001), (None, {"a": 1}, {"a": 1}), ([], ["x"], ["x"]), ([0.5], [1], [1.0])],
)
def test_values_take_the_type_of_the_default(default, given, expected):
    (value,) = profiles.check({"p": given}, {"p": default}, "here").values()
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("epochs", "expected key=value"),
        ("=3", "expected key=value"),
        ("a b=3", "expected key=value"),
        ("epochs=[1", r"epochs=\[1: not valid YAML"),
    ],
)
def test_a_malformed_change_is_named(pair, message):
    with pytest.raises(ConfigError, match=message):
        profiles.parse_changes([pair])


def test_a_change_given_twice_is_refused():
    with pytest.raises(ConfigError, match="epochs is given twice"):
        profiles.parse_changes(["epochs=1", "epochs=2"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os", r"may only assign literals to names, found `import os`"),
        ("a = b", r"the default of parameter 'a' must be a literal, found `b`"),
        ("a, b = 1, 2", r"may only assign literals"),
        ("a = (", r"cell 1, line 1: not valid Python"),
    ],
)
def test_a_parameters_cell_holds_literals(tmp_path, source, message):
    path = write_notebook(tmp_path / "a.ipynb", code(source, "parameters"))
    with pytest.raises(ConfigError, match=message):
        parameters_of(path)


def test_two_parameters_cells_are_refused(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", code("a = 1", "parameters"), code("b = 1", "parameters"))
    with pytest.raises(ConfigError, match="cells 1, 2 are all tagged"):
        parameters_of(path)


@pytest.mark.parametrize("name", ["1", "01", "01_tiny", "01_t", "01_tiny.ipynb"])
def test_a_chapter_has_short_names(project, name):
    assert project.chapter(name) == "01_tiny"


@pytest.mark.parametrize(
    ("name", "message"),
    [("2", "is ambiguous: it may be 02_a, 02_b"), ("02", "ambiguous"), ("3", "no chapter '3'"), ("", "no chapter ''")],
)
def test_a_name_that_fits_no_chapter_or_two_is_refused(project, name, message):
    write_chapter(project, "02_a")
    write_chapter(project, "02_b")
    with pytest.raises(ConfigError, match=message):
        project.chapter(name)


def test_a_folder_without_notebooks_is_no_project(tmp_path):
    with pytest.raises(ConfigError, match=r"has no notebooks/ folder"):
        Project.find(tmp_path)


def test_the_seed_option_reaches_seed_or_seeds(project):
    write_chapter(project, "02_one", parameters="seed = 0")
    write_chapter(project, "03_none", parameters="width = 0")
    write_profiles(project, quick="01_tiny: {}\n02_one: {}\n03_none: {}\n")
    jobs = runner.plan(project, ["1", "2"], "quick", seed=7)
    assert [job.parameters.get("seeds", job.parameters.get("seed")) for job in jobs] == [[7], 7]
    with pytest.raises(ConfigError, match="chapter 03_none has no parameter 'seed' or 'seeds'"):
        runner.plan(project, ["3"], "quick", seed=7)
