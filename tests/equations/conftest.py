"""The tests of key equations: the tolerance each one states, the wrong variant on which it must
fail, and the appendix's source.

With FEWSTEP_EQUATIONS_REPORT=path, ``pytest tests/equations`` writes to that path what every test
checked and how it ended.
"""

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import pytest


@pytest.fixture
def tolerance(request):
    """The tolerance in the test's marker: what the appendix prints is what the test used."""
    return request.node.get_closest_marker("equation").kwargs["tolerance"]


def pytest_generate_tests(metafunc):
    """A test that takes `wrong` runs twice: as the equation stands, and with the slip that its
    marker names. Then it must fail by an assertion, or it could not have found that slip.
    """
    if "wrong" in metafunc.fixturenames:
        fails = pytest.mark.xfail(strict=True, raises=AssertionError, reason="the wrong variant")
        cases = [pytest.param(False, id="right"), pytest.param(True, id="wrong", marks=fails)]
        metafunc.parametrize("wrong", cases)


def pytest_collection_modifyitems(items):
    for item in items:
        markers = list(item.iter_markers("equation"))
        if not markers:
            continue
        marker = markers[0]
        if (
            len(markers) > 1
            or len(marker.args) != 1
            or not {"tolerance", "wrong"} <= set(marker.kwargs) <= {"tolerance", "unit", "wrong"}
        ):
            raise pytest.UsageError(
                f"{item.nodeid}: write once @pytest.mark.equation(name, tolerance=1e-9, "
                'wrong=r"$…$"), with unit="…" if it has one'
            )
        if not {"tolerance", "wrong"} <= set(item.fixturenames):
            raise pytest.UsageError(
                f"{item.nodeid}: must take the fixtures `tolerance` and `wrong`, "
                "or the appendix prints what nothing used"
            )
        sentence = re.match(
            r".+?[.!?](?=\s+[A-Z]|$)", " ".join((item.function.__doc__ or "").split())
        )
        if sentence is None:
            raise pytest.UsageError(
                f"{item.nodeid}: the docstring must begin with a sentence "
                "that says what the test does"
            )
        # Properties travel with the report, also from a worker of pytest-xdist.
        item.user_properties.append(
            (
                "equation",
                {
                    "name": marker.args[0],
                    "does": sentence.group(),
                    "tolerance": marker.kwargs["tolerance"],
                    "unit": marker.kwargs.get("unit", ""),
                    "wrong": marker.kwargs.get("wrong", ""),
                    "file": item.path.name,
                    "test": item.originalname,
                },
            )
        )


class Recorder:
    """One record for each test function; a parametrised one passes when all its cases do."""

    def __init__(self, path):
        self.path, self.tests = Path(path), {}

    def pytest_runtest_logreport(self, report):
        about = dict(report.user_properties).get("equation")
        if about is None:
            return
        test = self.tests.setdefault(
            (about["file"], about["test"], about["name"]),
            {**about, "outcome": "passed", "cases": 0, "duration": 0.0},
        )
        wrong_case = "wrong" in report.nodeid.partition("[")[2].rstrip("]").split("-")
        test["cases"] += report.when == "setup" and not wrong_case
        test["duration"] = round(test["duration"] + report.duration, 3)
        refuted = hasattr(report, "wasxfail")  # the wrong variant failed, as it must
        test["refuted"] = test.get("refuted", False) or refuted
        if report.outcome != "passed" and not refuted and test["outcome"] != "failed":
            test["outcome"] = report.outcome

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return  # interrupted: what is missing must not look as if it had not been asked for
        packages = {name: version(name) for name in ("torch", "numpy", "scipy")}
        content = {
            "python": platform.python_version(),
            **packages,
            "tests": list(self.tests.values()),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def pytest_configure(config):
    path = os.environ.get("FEWSTEP_EQUATIONS_REPORT")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(path), "equations-report")
