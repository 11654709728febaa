import pytest
import torch

from fewstep import scale


def test_scale_follows_the_environment(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")
    assert scale.current() == "smoke"
    s = scale.settings(smoke={"steps": 1}, cpu={"steps": 2}, gpu={"steps": 3})
    assert s.steps == 1
    assert scale.device() == torch.device("cpu")


@pytest.mark.parametrize("name, threads", [("smoke", 1), ("cpu", 1), ("gpu", 2)])
def test_small_scales_run_on_one_thread(monkeypatch, name, threads):
    before = torch.get_num_threads()
    monkeypatch.setenv("FEWSTEP_SCALE", name)
    try:
        torch.set_num_threads(2)
        scale.settings(smoke={}, cpu={}, gpu={})
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("there, expected", [(True, "gpu"), (False, "cpu")])
def test_default_is_gpu_only_where_cuda_is(monkeypatch, there, expected):
    monkeypatch.delenv("FEWSTEP_SCALE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert scale.current() == expected
    assert scale.device().type == ("cuda" if there else "cpu")


def test_cpu_scale_stays_on_the_cpu_where_cuda_is(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert scale.device().type == "cpu"


def test_unknown_scale_is_refused(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "huge")
    with pytest.raises(ValueError, match="FEWSTEP_SCALE.*'huge'.*smoke, cpu, gpu"):
        scale.current()


@pytest.mark.parametrize("name", scale.SCALES)
@pytest.mark.parametrize(
    "odd", [{"steps": 1, "batch": 2}, {"steps": 1, "batch": 2, "seeds": 3, "more": 4}]
)
def test_scales_must_have_the_same_keys(name, odd):
    choices = {name: {"steps": 1, "batch": 2, "seeds": 3} for name in scale.SCALES}
    choices[name] = odd
    with pytest.raises(ValueError, match="seeds|more"):
        scale.settings(**choices)


def test_versions_name_what_a_reader_needs(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "cpu")
    line = scale.versions()
    assert (
        torch.__version__ in line and "scale cpu" in line and "Python" in line and "\n" not in line
    )
