"""The command line."""

import pytest

from fewstep import classifiers, experiments
from fewstep.__main__ import main


def test_versions_are_printed(capsys):
    main(["versions"])
    assert "torch" in capsys.readouterr().out


def test_a_classifier_is_recorded_by_name(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(classifiers, "record_classifier", lambda name: asked.append(name) or 0.99)
    main(["record-classifier", "digits"])
    assert asked == ["digits"] and "0.9900" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error", [FloatingPointError("nan"), MemoryError("lower batch_size"), OSError(28, "full")]
)
def test_what_fails_while_it_runs_is_told_without_a_traceback(monkeypatch, capsys, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(experiments, "train", fail)
    with pytest.raises(SystemExit) as caught:
        main(["train", "digits"])
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"python -m fewstep: {error}\n"


@pytest.mark.parametrize("arguments", [[], ["record-classifier", "cifar"], ["sample"]])
def test_unknown_commands_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage" in capsys.readouterr().err
