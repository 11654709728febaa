import socket
import time
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from fewstep import classifiers, data, losses, metrics, preconditioning, schedules
from fewstep.preconditioning import Denoiser


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("FEWSTEP_SCALE", "smoke")


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture(scope="module")
def classifier():
    """An untrained one: any fixed network will do to check the code."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return classifiers.Classifier().eval()


def gaussian(n, mean, factor, seed):
    z = torch.randn(
        n, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return mean + z @ factor.T


# --- Fréchet distance -----------------------------------------------------------------------------


def exact(mean1, cov1, mean2, cov2):
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½), through symmetric eigenvalues."""

    def root(a):
        w, v = torch.linalg.eigh(a)
        return v @ torch.diag(w.clamp(min=0).sqrt()) @ v.T

    r = root(cov1)
    return float((mean1 - mean2).square().sum() + torch.trace(cov1 + cov2 - 2 * root(r @ cov2 @ r)))


def test_fd_of_gaussian_features_is_the_closed_form():
    g = torch.Generator().manual_seed(1)
    d = 6
    mean1, mean2 = torch.randn(2, d, generator=g, dtype=torch.float64)
    factor1, factor2 = torch.randn(2, d, d, generator=g, dtype=torch.float64) / 2
    expected = exact(mean1, factor1 @ factor1.T, mean2, factor2 @ factor2.T)
    a, b = gaussian(100_000, mean1, factor1, 2), gaussian(100_000, mean2, factor2, 3)
    assert metrics.fd(a, b, None) == pytest.approx(expected, rel=0.02)
    # and exactly, for the sample moments
    assert metrics.fd(a, b, None) == pytest.approx(
        exact(a.mean(0), a.T.cov(), b.mean(0), b.T.cov()), rel=1e-4
    )


def test_fd_one_dimension_and_itself():
    a = torch.randn(5000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    b = 3 * a + 2  # (μ₁ − μ₂)² + (σ₁ − σ₂)²
    expected = float((a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2)
    assert metrics.fd(a.expand(-1, 2), b.expand(-1, 2), None) == pytest.approx(
        2 * expected, rel=1e-4
    )
    assert abs(metrics.fd(a.expand(-1, 2), a.expand(-1, 2), None)) < 1e-5


class Pictures(Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i]


def test_the_short_way_is_torch_fidelitys_own_number(digits, classifier):
    """fd_c, kid and precision_recall against calculate_metrics on the registered extractor."""
    from torch_fidelity import calculate_metrics, register_feature_extractor

    a, b = digits.split(900)
    noisy = (a.x + 0.2 * torch.randn(a.x.shape, generator=torch.Generator().manual_seed(0))).clamp(
        -1, 1
    )
    register_feature_extractor("course-digits", metrics.extractor_class(classifier))
    sets = [Pictures(metrics.to_rgb("x", x)) for x in (noisy, b.x)]
    theirs = calculate_metrics(
        input1=sets[0],
        input2=sets[1],
        feature_extractor="course-digits",
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=300,
        kid_subsets=20,
        rng_seed=4,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    assert metrics.fd_c(noisy, b, classifier) == pytest.approx(
        theirs["frechet_inception_distance"], rel=1e-4
    )
    reference = metrics.features(b, classifier)
    assert metrics.fd_c(noisy, reference, classifier) == metrics.fd_c(noisy, b, classifier)
    by_name = metrics.fd(noisy, b, "course-digits")
    assert by_name == metrics.fd_c(noisy, b, classifier)
    kid = metrics.kid(noisy, b, classifier, subset_size=300, subsets=20, seed=4)
    assert kid == pytest.approx(
        (theirs["kernel_inception_distance_mean"], theirs["kernel_inception_distance_std"]),
        rel=1e-4,
    )
    assert metrics.precision_recall(noisy, b, classifier) == (theirs["precision"], theirs["recall"])


def test_grey_and_colour_and_bytes_agree(digits, classifier):
    x = digits.x[:50]
    bytes_ = ((x + 1) * 127.5).round().to(torch.uint8)
    f = metrics.features(x, classifier)
    assert f.shape == (50, 64) and f.dtype == torch.float32 and not f.is_inference()
    assert torch.equal(f, metrics.features(bytes_, classifier))
    assert torch.equal(f, metrics.features(x.expand(-1, 3, -1, -1), classifier))
    assert torch.equal(f, metrics.features(digits.subset(slice(50)), classifier))
    assert torch.equal(f, metrics.features(x, classifier, batch_size=50))
    direct = classifier.features(bytes_.float() / 127.5 - 1)
    assert (f - direct).abs().max() < 1e-5
    assert torch.equal(
        metrics.features(3 * digits.x[:5].clamp(-0.4, 0.4), classifier),
        metrics.features((3 * digits.x[:5].clamp(-0.4, 0.4)).clamp(-1, 1), classifier),
    )


def test_colour_is_not_dropped_in_silence(digits, classifier):
    """One channel is taken only where all three are equal."""
    x = digits.x[:70].expand(-1, 3, -1, -1).clone()
    x[3, 2, 4, 4] = 0.3
    grey = metrics.features(digits.x[:70], classifier)
    for call in (
        lambda: metrics.features(x, classifier),
        lambda: metrics.fd_c(grey, x, classifier),
        lambda: metrics.floor(x, 20, classifier),
    ):
        with pytest.raises(ValueError, match="= 'colour pictures': must be grey"):
            call()
    coloured = classifiers.Classifier(channels=3).eval()
    assert metrics.features(x, coloured).shape == (70, 64)


def test_silent(digits, classifier, capfd):
    metrics.fd_c(digits.x[:100], digits.x[100:200], classifier)
    metrics.kid(digits.x[:100], digits.x[100:200], classifier)
    metrics.precision_recall(digits.x[:100], digits.x[100:200], classifier)
    out, err = capfd.readouterr()
    assert out == err == ""


# --- the others -----------------------------------------------------------------------------------


def test_kid_is_unbiased_and_grows():
    a, b, c = (
        gaussian(400, torch.full((8,), m), torch.eye(8, dtype=torch.float64), i)
        for i, m in enumerate([0.0, 0.0, 1.0])
    )
    same, std = metrics.kid(a, b, None)
    assert abs(same) < 3 * std and std > 0
    assert metrics.kid(a, c, None)[0] > 10 * abs(same)


def test_precision_and_recall_tell_quality_from_variety():
    eye = torch.eye(4, dtype=torch.float64)
    real = torch.cat(
        [gaussian(300, torch.full((4,), m), 0.1 * eye, i) for i, m in enumerate([-1.0, 1.0])]
    )
    one_mode = gaussian(600, torch.full((4,), 1.0), 0.1 * eye, 5)
    precision, recall = metrics.precision_recall(one_mode, real, None)
    assert precision > 0.9 and 0.4 < recall < 0.55
    both_and_rubbish = torch.cat([real[::2] + 0.01, gaussian(300, torch.full((4,), 5.0), eye, 6)])
    precision, recall = metrics.precision_recall(both_and_rubbish, real, None)
    assert precision == pytest.approx(0.5, abs=0.05) and recall > 0.9


def test_floor_is_positive_and_falls_with_n(digits, classifier):
    pool = metrics.features(digits, classifier)
    means = {n: metrics.floor(pool, n, seeds=8) for n in (100, 300, 898)}
    assert means[100][0] > means[300][0] > means[898][0] > 0
    assert all(std > 0 for _, std in means.values())
    assert means[300] == metrics.floor(digits, 300, classifier, seeds=8)
    # features of unit covariance: E |difference of means|² = 2d / n, and E ¼ |difference of
    # covariances|² = d (d + 1) / 2n
    g, d, n = torch.randn(40_000, 4, generator=torch.Generator().manual_seed(0)), 4, 500
    assert metrics.floor(g, n, seeds=100)[0] == pytest.approx(
        (2 * d + d * (d + 1) / 2) / n, rel=0.05
    )


@pytest.mark.parametrize(
    "side, channels", [(8, 1), (21, 1), (22, 3), (28, 1), (32, 3), (64, 3), (176, 1)]
)
def test_ms_ssim_works_at_every_size(side, channels):
    x = torch.rand(4, channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert metrics.ms_ssim(x[:1].expand(4, -1, -1, -1), pairs=5) == pytest.approx(1, abs=1e-4)
    assert -0.1 < metrics.ms_ssim(x, pairs=5) < 0.3
    assert metrics.ms_ssim(x, pairs=5, seed=1) == metrics.ms_ssim(x, pairs=5, seed=1)


def test_ms_ssim_is_the_standard_one_where_that_is_defined():
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    a = torch.rand(1, 1, 180, 180, generator=torch.Generator().manual_seed(0))
    b = (a + 0.3 * torch.rand(1, 1, 180, 180, generator=torch.Generator().manual_seed(1))).clamp(
        0, 1
    )
    bytes_ = torch.cat([a, b]).mul(255).round()
    standard = multiscale_structural_similarity_index_measure(
        bytes_[:1], bytes_[1:], data_range=255.0
    )
    assert metrics.ms_ssim(bytes_.to(torch.uint8), pairs=3) == pytest.approx(
        float(standard), abs=2e-4
    )


# --- FID itself -----------------------------------------------------------------------------------


def test_fid_without_weights_says_what_to_do_and_does_not_hang(monkeypatch, tmp_path):
    """The server accepts and never answers: the worst case."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(metrics, "PATIENCE", 1.0)
        started = time.perf_counter()
        with pytest.raises(RuntimeError, match="weights could not be had") as caught:
            metrics.fid(torch.zeros(10, 1, 8, 8), torch.zeros(10, 1, 8, 8))
    assert time.perf_counter() - started < 20
    text = str(caught.value)
    assert "github.com/toshas" in text and str(tmp_path) in text and "fd_c" in text
    assert socket.getdefaulttimeout() is None


def test_fid_is_the_same_code_with_inceptions_name(monkeypatch):
    """fid asks for the 2048 features of Inception-v3 with the original weights, no others."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    asked = []

    def stand_in(name, layer):
        asked.append((name, layer))
        return None

    monkeypatch.setattr(metrics, "_named_extractor", stand_in)
    metrics.feature_extractor(metrics.INCEPTION)
    monkeypatch.setattr(metrics, "fd", lambda *arguments: asked.append(arguments[2:]))
    metrics.fid(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8))
    assert asked == [("inception-v3-compat", "2048"), ("inception-v3-compat",)]
    assert FeatureExtractorInceptionV3.get_default_feature_layer_for_metric("fid") == "2048"


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.full((10, 1, 8, 8), torch.nan), "samples = 'NaN or infinity'"),
        (torch.zeros(10, 8, 8), r"samples.shape = \(10, 8, 8\)"),
        (torch.zeros(10, 2, 8, 8), "samples.shape"),
        (torch.zeros(0, 1, 8, 8), "samples.shape"),
        (torch.zeros(1, 1, 8, 8), "samples = '1 picture'"),
        (torch.zeros(10, 1, 8, 8).long(), "samples.dtype = torch.int64"),
        (torch.rand(10, 1, 8, 8) * 255, r"samples = .*beyond ±1.5.*\[-1, 1\]"),
        (torch.full((10, 64), torch.nan), "samples.*finite"),
        (torch.zeros(70, 63), "reference = '64 features'.*63 features"),
    ],
)
def test_bad_samples_are_refused(digits, classifier, x, message):
    reference = metrics.features(digits.x[:70], classifier)
    for measure in (metrics.fd_c, metrics.kid, metrics.precision_recall):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=message):
                measure(x, reference, classifier)


def test_a_bad_reference_is_named(digits, classifier):
    with pytest.raises(ValueError, match="reference.shape"):
        metrics.fd_c(digits.x[:100], torch.zeros(3, 8, 8), classifier)


def test_fewer_pictures_than_features_warns(digits, classifier):
    with pytest.warns(UserWarning, match="samples: 64 pictures for 64 features.*singular"):
        metrics.fd_c(digits.x[:64], digits.x, classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.fd_c(digits.x[:65], digits.x, classifier)


def test_other_bad_arguments_are_refused(digits, classifier):
    x = digits.x[:100]
    with pytest.raises(ValueError, match="extractor = 'inception'.*inception-v3-compat"):
        metrics.features(x, "inception")
    with pytest.raises(ValueError, match="layer = '2049'.*2048"):
        metrics.features(x, metrics.INCEPTION, layer="2049")
    with pytest.raises(ValueError, match="layer = '2048'.*features"):
        metrics.features(x, classifier, layer="2048")
    with pytest.raises(ValueError, match="extractor = None"):
        metrics.floor(x, 20)
    with pytest.raises(ValueError, match="n = 51: must be an integer in 2 … 50"):
        metrics.floor(x, 51, classifier)
    with pytest.raises(ValueError, match="subset_size = 101"):
        metrics.kid(x, x, classifier, subset_size=101)
    with pytest.raises(ValueError, match="neighbours = 100"):
        metrics.precision_recall(x, x, classifier, neighbours=100)
    with pytest.raises(ValueError, match="samples.*'1 picture'"):
        metrics.ms_ssim(x[:1])
    with pytest.raises(ValueError, match="5 pixels"):
        metrics.ms_ssim(x[:, :, :4, :4])


# --- classifiers ----------------------------------------------------------------------------------


def test_a_classifier_is_trained_repeatably(digits):
    part = digits.subset(slice(300))
    first = classifiers.train_classifier(part, epochs=6, progress=False)
    torch.rand(1)  # another global random state
    second = classifiers.train_classifier(part, epochs=6, progress=False)
    assert all(
        torch.equal(p, q) for p, q in zip(first.state_dict().values(), second.state_dict().values())
    )
    assert classifiers.accuracy(first, part) > 0.6
    other = classifiers.train_classifier(part, epochs=1, seed=1, progress=False)
    assert not torch.equal(first.decide.weight, other.decide.weight)


def test_recorded_digits_classifier(digits, classifier):
    """Small, right on unseen pictures, and its distance grows with every kind of damage."""
    from fewstep import checkpoints, results

    path = results.weights("digits-classifier")
    assert path.stat().st_size < 1e6
    recorded = classifiers.load_classifier("digits")
    unseen, _ = digits.split(897, seed=0)
    assert (
        classifiers.accuracy(recorded, unseen)
        == checkpoints.read_metadata(path)["test_accuracy"]
        > 0.98
    )
    reference = metrics.features(unseen, recorded)
    g = torch.Generator().manual_seed(0)
    distances = [
        metrics.fd_c(unseen.x + s * torch.randn(unseen.x.shape, generator=g), reference, recorded)
        for s in (0, 0.1, 0.2, 0.4, 0.8)
    ]
    assert (
        distances == sorted(distances)
        and abs(distances[0]) < 1e-3
        and distances[3] > metrics.floor(reference, 448)[0]
    )
    few = unseen.subset(unseen.labels < 5)
    assert metrics.fd_c(few, reference, recorded) > 5 * metrics.floor(reference, 448)[0]


def test_recorded_fashion_classifier():
    from fewstep import checkpoints, results

    path = results.weights("fashion-mnist-classifier")
    assert path.stat().st_size < 1e6
    assert classifiers.load_classifier("fashion-mnist").features(
        torch.zeros(2, 1, 28, 28)
    ).shape == (2, 64)
    assert checkpoints.read_metadata(path)["test_accuracy"] > 0.91


def test_bad_classifier_files_are_refused(tmp_path, digits):
    from fewstep.checkpoints import save_weights

    with pytest.raises(ValueError, match="name = 'cats'.*'digits', 'fashion-mnist'"):
        classifiers.load_classifier("cats")
    save_weights(tmp_path / "w.safetensors", torch.nn.Linear(2, 2), {"settings": {"width": 3}})
    with pytest.raises(ValueError, match="not the weights of a classifier"):
        classifiers.load_classifier(path=tmp_path / "w.safetensors")
    for settings in ([], {"stages": 9}, {"classes": "ten"}, None):
        save_weights(tmp_path / "w.safetensors", torch.nn.Linear(2, 2), {"settings": settings})
        with pytest.raises(ValueError, match="w.safetensors: "):
            classifiers.load_classifier(path=tmp_path / "w.safetensors")
    save_weights(tmp_path / "w.safetensors", torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="another network"):
        classifiers.load_classifier(path=tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="stages = 5"):
        classifiers.Classifier(stages=5)
    assert classifiers.Classifier(3, 5, 3)(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_bits_per_dimension_are_those_of_all_terms_and_of_a_sample_of_them():
    """One call a level gives L_T + Σ L; fewer calls estimate it without bias."""
    chain = schedules.cosine(20)

    class Zero(nn.Module):
        def forward(self, x, c_noise, labels=None):
            return 0 * x

    denoiser = Denoiser(Zero(), preconditioning.chain(chain))
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(200, 1, 2, 2, generator=generator).mul(16).round() / 8 - 1
    whole = metrics.bits_per_dim(denoiser, x0, v=0.5, values=17)
    assert whole.shape == (200,) and whole.dtype == torch.float64
    total = losses.prior(x0.double(), float(denoiser.levels[0]))
    for place in range(20):
        u = torch.full((200,), (place + 0.5) / 20)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(place))
        total += losses.vlb(
            denoiser, x0, u, noise, levels=denoiser.levels, v=0.5, values=17
        ).double()
    errors = [whole - total]
    errors += [metrics.bits_per_dim(denoiser, x0, v=0.5, values=17, calls=5, seed=1) - total]
    for error in errors:
        assert abs(float(error.mean())) < 4 * float(error.std()) / 200**0.5
    again = metrics.bits_per_dim(denoiser, x0, v=0.5, values=17, batch_size=7)
    assert torch.allclose(again, whole)
