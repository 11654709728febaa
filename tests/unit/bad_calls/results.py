"""Bad calls of results. None of them may write; if one did, it would not be into the checkout."""

import tempfile
from pathlib import Path

from fewstep import results

ROWS, ELSEWHERE = [{"a": 1}], Path(tempfile.gettempdir()) / "fewstep-bad-calls"


def record(name="r", rows=ROWS, **changes):
    return results.record(name, rows, **{"settings": {}, "into": ELSEWHERE, **changes})


BAD = {
    "results.weights": [
        (lambda: results.weights("../../x"), "name = '../../x': must be lower-case words"),
        (lambda: results.weights(None), "name = None"),
    ],
    "results.record": [
        (lambda: record("../a"), "name = '../a': must be lower-case words"),
        (lambda: record(None), "name = None"),
        (lambda: record(rows=[]), "rows = []: must be a list of at least one dict"),
        (lambda: record(rows=None), "rows = None"),
        (lambda: record(rows={"a": 1}), "rows = {'a': 1}"),
        (lambda: record(rows=[1, 2]), "rows = [1, 2]"),
        (lambda: record(rows=[{"a": float("nan")}]), "rows or settings of 'r': NaN or infinity"),
        (lambda: record(settings={"a": float("inf")}), "rows or settings of 'r': NaN or infinity"),
        (lambda: record(settings=None), "settings = None: must be a dict"),
        (lambda: record(seeds=5), "seeds = 5: must be a list of integers"),
        (lambda: record(seeds=None), "seeds = None"),
        (lambda: record(seeds="abc"), "seeds = 'a'"),
        (lambda: record(samples="many"), "samples = 'many'"),
        (lambda: record(samples=0), "samples = 0"),
        (lambda: record(seconds="long"), "seconds = 'long'"),
        (lambda: record(seconds=-1), "seconds = -1"),
        (lambda: record(figure="a picture", alt="x"), "figure = 'a picture': must be a matplotlib"),
        (lambda: record(alt=5), "alt = 5: must be a description"),
        (lambda: record(into=5), "into = 5: must be the path of a folder"),
    ],
    "results.read": [
        (lambda: results.read("../pyproject"), "name = '../pyproject'"),
        (lambda: results.read(None), "name = None"),
        (lambda: results.read("r", of=5), "of = 5: must be the path of a folder"),
    ],
    "results.certificate": [
        (lambda: results.certificate(None), "run = None: must be a recorded run"),
        (lambda: results.certificate({}), "run = {}: must be a recorded run, with date, commit"),
    ],
    "results.table": [
        (lambda: results.table([]), "rows = []"),
        (lambda: results.table(None), "rows = None"),
        (lambda: results.table({"a": 1}), "rows = {'a': 1}"),
        (lambda: results.table(ROWS, ["b"]), "columns = 'b': must be one of ['a']"),
        (lambda: results.table(ROWS, "a"), "columns = 'a': must be a dict from key to heading"),
        (lambda: results.table(ROWS, []), "columns = []"),
        (lambda: results.table(ROWS, 5), "columns = 5"),
        (lambda: results.table(ROWS, [["a"]]), "columns = ['a']"),
        (lambda: results.table(ROWS, digits=0), "digits = 0"),
        (lambda: results.table(ROWS, digits="3"), "digits = '3'"),
        (lambda: results.table(ROWS, digits=2.0), "digits = 2.0"),
    ],
    "results.mean_std": [
        (lambda: results.mean_std([]), "values = []: must be numbers"),
        (lambda: results.mean_std(None), "values = None"),
        (lambda: results.mean_std(5), "values = 5"),
        (lambda: results.mean_std(["a"]), "values = ['a']"),
        (lambda: results.mean_std([[1.0], [2.0]]), "values = [[1.0], [2.0]]"),
        (lambda: results.mean_std([1.0, None]), "values = [1.0, None]"),
        (lambda: results.mean_std([1.0], digits=0), "digits = 0"),
    ],
}
