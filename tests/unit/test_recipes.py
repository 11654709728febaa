"""Recipes: the package's are whole, say what they claim, and become what they name."""

import pytest
import torch

from fewstep import data, losses, networks, recipes, schedules

NAMES = recipes.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_written_out_is_the_same_again(name, tmp_path):
    recipe = recipes.load(name)
    (tmp_path / "again.yaml").write_text(recipes.dump(recipe))
    assert recipes.load(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_becomes_a_learner_and_a_grid(name):
    recipe = recipes.load(name, ["network.channels=8", "network.multipliers=[1]"]
                          if name == "digits" else SMALL)  # fmt: skip
    classes = tuple("ab")
    c, h, w = recipes.shape(recipe)
    images = data.Images(torch.rand(6, c, h, w), torch.tensor([0, 1] * 3), classes, "noise")
    denoiser = recipes.denoiser(recipe, images)
    learner = recipes.learner(recipe, denoiser)
    x, u = images.x[:4], torch.tensor([0.1, 0.4, 0.7, 0.9])
    assert learner.loss(denoiser, x, u, torch.randn_like(x), None).isfinite().all()
    step, churn = recipes.solver(recipe)
    n = len(recipes.grid(recipe)) - 1
    calls = 2 * n - 1 if recipe.sampling.solver == "heun" else n
    assert calls == recipe.sampling.calls


SMALL = ["network.channels=8", "network.multipliers=[1]", "network.attention=[false]"]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("food-")])
def test_the_six_runs_have_the_size_of_the_report(name):
    """A U-Net of 258 million parameters, within 2 %."""
    n = recipes.load(name).network
    with torch.device("meta"):
        network = networks.UNet(3, n.channels, n.multipliers, n.blocks, n.attention)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(258e6, rel=0.02)


def test_numbers_that_yaml_takes_for_words_are_numbers():
    assert recipes.load("digits", ["training.learning_rate=1e-3"]).training.learning_rate == 1e-3


def test_first_weights_depend_on_the_seed_alone():
    images = data.digits()
    made = [
        recipes.denoiser(recipes.load("digits", [f"training.seed={seed}"]), images)
        for seed in (0, 0, 1)
    ]
    a, b, c = (d.network.first.weight for d in made)
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_on_a_chain_the_losses_are_those_of_the_noise():
    """λ‖D − x0‖² is |F − ε|², √λ‖D − x0‖₁ is |F − ε|, at levels of the chain only."""
    changes = ["noise.preconditioning=chain", "noise.schedule=cosine", "noise.T=50"]
    recipe = recipes.load("digits", changes)
    denoiser = recipes.denoiser(recipe, data.digits())
    for p in denoiser.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x, u = data.digits().float()[:5], torch.tensor([0.0, 0.31, 0.5, 0.77, 0.9999])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    chain = schedules.cosine(50)
    levels = losses.from_levels(u, denoiser.preconditioning.levels)
    t = torch.tensor([50, 35, 25, 12, 1])
    assert torch.allclose(levels, chain.sigmas[t])
    xt = (x + levels.float()[:, None, None, None] * noise) / (1 + levels.float() ** 2).sqrt()[
        :, None, None, None
    ]
    F = denoiser.network(xt, t.float(), None)
    for error, power in (("squared", 2), ("absolute", 1)):
        ours = losses.denoising(denoiser, x, u, noise, levels=lambda u: levels, error=error)
        theirs = (F - noise).abs().pow(power).flatten(1).mean(1)
        assert torch.allclose(ours, theirs, rtol=2e-3, atol=1e-4)


def test_the_hybrid_recipes_differ_in_loss_and_solver_alone():
    for name in ("fashion-iddpm", "iddpm-food"):
        a, b = (recipes.load(f"{name}-{kind}").model_dump() for kind in ("mse", "hybrid"))
        assert a.pop("about") != b.pop("about")
        assert (a["training"].pop("loss"), b["training"].pop("loss")) == ("squared", "hybrid")
        solvers = a["sampling"].pop("solver"), b["sampling"].pop("solver")
        assert solvers == ("ancestral", "learned") and a == b


def test_a_recipe_like_another_changes_only_its_own_lines(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("about: mine\nlike: food-linear\ntraining:\n  loss: absolute\n")
    mine, base = recipes.load(path).model_dump(), recipes.load("food-linear").model_dump()
    assert mine.pop("about") == "mine" and base.pop("about")
    assert mine["training"].pop("loss") == "absolute" and base["training"].pop("loss") == "squared"
    assert mine == base


def test_a_recipe_like_no_other_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("about: mine\nlike: food-linera\n")
    with pytest.raises(ValueError, match=r"like = 'food-linera': must be one of .*food-linear"):
        recipes.load(path)
