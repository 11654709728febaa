"""Bad calls of exercises: by their authors; what readers answer never raises."""

from fewstep.exercises import Exercise, Wrong


def build(**changes):
    good = {"name": "e", "arguments": lambda rng: (rng.uniform(1, 2),), "solution": lambda x: x}
    return Exercise(**{**good, "wrong": [], **changes})


BAD = {
    "exercises.Wrong": [
        (lambda: Wrong(None, "a hint"), "answer = None: must be a function"),
        (lambda: Wrong(abs, " "), "hint = ' ': must be words"),
        (lambda: Wrong(abs, None), "hint = None"),
    ],
    "exercises.Exercise": [
        (lambda: build(name=None), "name = None"),
        (lambda: build(arguments=None), "arguments = None: must be a function"),
        (lambda: build(arguments=lambda rng: 1.0), "e: a probe = 1.0: must be a tuple"),
        (lambda: build(solution=None), "solution = None: must be a function"),
        (lambda: build(solution=lambda x: 1 / 0), "must be free of errors"),
        (lambda: build(wrong=None), "wrong = None: must be a list of Wrong"),
        (lambda: build(wrong=[abs]), "must be a list of Wrong"),
        (lambda: build(wrong=[Wrong(abs, "none")]), "'none': must be different from the solution"),
        (lambda: build(edges=5), "edges = 5: must be a list of tuples"),
        (lambda: build(edges=[1.0]), "e: a probe = 1.0"),
        (lambda: build(tolerance="1e-5"), "tolerance = '1e-5'"),
        (lambda: build(tolerance=-1), "tolerance = -1"),
        (lambda: build(probes=0), "probes = 0"),
        (lambda: build(probes=2.5), "probes = 2.5"),
    ],
}
