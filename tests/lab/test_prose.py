"""The rule on numbers in a chapter's text, on both of its sides."""

import pytest

from reidlab.lab.prose import bare_results, check_notebook
from tests.lab.made_up_project import code, markdown, write_notebook

REFUSED = [
    ("The network reaches 0.853.", "0.853"),
    ("It gains 3.5 points.", "3.5"),
    ("Rank-1 rises by 12 %.", "12 %"),
    ("Rank-1 rises by 12%.", "12%"),
    ("Rank-1 rises by 12 percent.", "12 percent"),
    ("It gains 12 percentage points.", "12 percentage points"),
    ("It is 3 times faster.", "3 times faster"),
    ("It is three times as fast.", "three times as"),
    ("It is 2.5x faster.", "2.5x"),
    ("A 3× speed-up.", "3×"),
    ("A 4-fold increase.", "4-fold increase"),
    ("A rank-1 of 85 is good.", "rank-1 of 85"),
    ("The mAP reaches 72 here.", "mAP reaches 72"),
    ("**0.9** against **0.8**", "0.9"),
    ("| a | 0.71 |", "0.71"),
    ("Between -0.5 and nothing.", "-0.5"),
    ("See Table 2.1: 0.75.", "0.75"),
    ("```{note}\nIt reaches 0.91.\n```", "0.91"),
    (":::{tip}\nIt reaches 0.91.\n:::", "0.91"),
    ("## It reaches 0.91", "0.91"),
    ("[0.82](https://x.org/0.5)", "0.82"),
    ("- 0.75", "0.75"),
    ("A pair: `x` 0.7 `y`", "0.7"),
    ("It costs $5$ and 0.33 more, or $6$", "0.33"),
]
ALLOWED = [
    "It reaches {glue:text}`rank1:.3f`, {eval}`x + 0.5` more.",
    "The gain is {glue:text}`gain:.1f` %.",
    "The learning rate is `0.01`, the margin ``0.3``.",
    "With $\\alpha = 0.5$ and $$m = 0.35$$ it works.",
    "$$\n0.5 x\n$$",
    "\\begin{align}\n0.5 x\n\\end{align}",
    "The text prints [82.79 %]{.printed} and [0.5]{.printed .quiet}.",
    "Tables 2.1, 2.3 and 4.2, Figure 3.4a, Fig. 2.5, Section 2.3, Sec. 3.1-3.4, Eq. (2.5), Equations 2.5 to 2.7, §3.2.",
    "## 2.1 A heading\n\n### 2.1.3. Another",
    "1. First\n2. Second",
    "{cite:t}`liu2022dissertation` and {numref}`figure-1.2`",
    "[the page](https://example.org/1.5/a.html) and <https://example.org/2.5>",
    "Python 3.11, PyTorch 2.8, version 1.0, v2.5.1, arXiv:1904.07850",
    "```python\nx = 0.5\n```",
    "```{math}\n0.5 x\n```",
    "~~~\n0.5\n~~~",
    "```{figure} a-1.5.png\n:width: 50%\n:name: x\nA caption.\n```",
    "The 95 % interval, at 95 % confidence.",
    "Market-1501 has 1501 identities, 32,668 boxes and 6 cameras.",
    "ResNet-50 on crops of 256 × 128 pixels, 256x128, kernels 3 x 3, a 3×3 convolution.",
    "We repeat this 5 times with 5 seeds, three times a day.",
    "rank-1, rank-5 and rank-10",
    "A rank-1 of 1 would be perfect.",
    "<img src='a.png' width='50%'> <!-- 0.5 -->",
    "A date: 2022-10-05, 10.10.2022, and 192.168.0.1.",
    "5-fold cross-validation",
    "Half of them, a third, twice as many.",
]


@pytest.mark.parametrize(("text", "found"), REFUSED)
def test_a_bare_result_is_found(text, found):
    assert found in [finding.text for finding in bare_results(text)]


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_no_bare_result_is_let_through(text):
    assert bare_results(text) == []


def test_findings_name_their_line():
    text = "# Title\n\n```python\nx = 0.5\n```\n\n$$\ny\n$$\n\nIt gains 0.5."
    assert [finding.line for finding in bare_results(text)] == [11]


def test_what_is_wrong_with_a_notebook_is_named(tmp_path):
    dirty = code("1 + 1")
    dirty["execution_count"] = 1
    path = write_notebook(tmp_path / "01_a.ipynb", markdown("# A\n\nIt gains 0.5."), dirty)
    problems = check_notebook(path)
    assert len(problems) == 3
    assert "01_a.ipynb, cell 1, line 3: '0.5' is typed by hand; show it with {glue:text}`name`" in problems[0]
    assert "[0.5]{.printed}" in problems[0]
    assert "cell 2: has outputs; strip them" in problems[1]
    assert "no cell is tagged 'parameters'" in problems[2]


def test_a_clean_notebook_has_no_problem(tmp_path):
    path = write_notebook(tmp_path / "01_a.ipynb", markdown("# A"), code("seeds = [0]", "parameters"))
    assert check_notebook(path) == []
    path.write_text(path.read_text().replace("python3", "my-kernel").replace("seeds = [0]", "seeds = f()"))
    assert len(check_notebook(path)) == 2
