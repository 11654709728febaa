"""The command line."""

import pytest

from fewstep import classifiers
from fewstep.__main__ import main


def test_versions_are_printed(capsys):
    main(["versions"])
    assert "torch" in capsys.readouterr().out


def test_a_classifier_is_recorded_by_name(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(classifiers, "record_classifier", lambda name: asked.append(name) or 0.99)
    main(["record-classifier", "digits"])
    assert asked == ["digits"] and "0.9900" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["record-classifier", "cifar"], ["sample"]])
def test_unknown_commands_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage" in capsys.readouterr().err
