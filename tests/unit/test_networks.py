"""The U-Net: shapes, options, and what must not be random."""

from math import cos, sin

import pytest
import torch

from fewstep.networks import Attention, Block, UNet


def max_abs(a, b):
    return float((a - b).detach().abs().max())


def unet(image_channels=1, **settings):
    """A small U-Net with every weight random: a fresh one returns 0, because its last layer starts
    at 0.
    """
    torch.manual_seed(0)
    network = UNet(image_channels, **{"channels": 16, "blocks": 1, **settings})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def inputs(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator), torch.randn(shape[0], generator=generator)


@pytest.mark.parametrize("attention", [None, (False, False, True)])
@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize("channels, size", [(1, 8), (1, 28), (3, 32), (3, 64)])
def test_output_has_the_shape_of_the_input(channels, size, classes, attention):
    network = unet(channels, classes=classes, attention=attention)
    x, c_noise = inputs(2, channels, size, size)
    for labels in (None, torch.tensor([3, 9])) if classes else (None,):
        F = network(x, c_noise, labels)
        assert F.shape == x.shape and F.dtype == torch.float32
        assert bool(torch.isfinite(F).all()) and F.std() > 0


@pytest.mark.parametrize(
    "channels, multipliers, blocks",
    [(8, (1,), 1), (48, (1, 2), 1), (24, (1, 3, 5), 2), (72, (2,), 1)],
)
def test_any_width_and_depth(channels, multipliers, blocks):
    """Also widths that 32 groups do not divide."""
    network = unet(
        1,
        channels=channels,
        multipliers=multipliers,
        blocks=blocks,
        attention=(True,) * len(multipliers),
    )
    x, c_noise = inputs(2, 1, 8, 8)
    assert network(x, c_noise).shape == x.shape


def test_rectangles_are_images_too():
    x, c_noise = inputs(2, 1, 8, 16)
    assert unet()(x, c_noise).shape == x.shape


def test_a_fresh_network_returns_zero():
    x, c_noise = inputs(2, 3, 8, 8)
    assert max_abs(UNet(3, channels=16)(x, c_noise), 0 * x) == 0


def test_samples_do_not_see_each_other():
    network = unet(attention=(True, True, True), classes=4)
    x, c_noise = inputs(3, 1, 8, 8)
    labels = torch.tensor([0, 1, 2])
    together = network(x, c_noise, labels)
    alone = torch.cat(
        [network(x[i : i + 1], c_noise[i : i + 1], labels[i : i + 1]) for i in range(3)]
    )
    assert max_abs(together, alone) < 1e-5


def test_noise_level_and_label_matter():
    network = unet(classes=4)
    x, c_noise = inputs(2, 1, 8, 8)
    base = network(x, c_noise, torch.tensor([0, 0]))
    assert max_abs(base, network(x, c_noise + 0.5, torch.tensor([0, 0]))) > 1e-3
    other = network(x, c_noise, torch.tensor([0, 1]))
    assert max_abs(base[0], other[0]) < 1e-6 and max_abs(base[1], other[1]) > 1e-3


def test_minus_one_means_no_class_for_each_sample_on_its_own():
    network = unet(classes=4)
    x, c_noise = inputs(3, 1, 8, 8)
    none = network(x, c_noise)
    assert max_abs(none, network(x, c_noise, torch.tensor([-1, -1, -1], dtype=torch.int32))) == 0
    mixed = network(x, c_noise, torch.tensor([-1, 3, -1]))
    difference = (mixed - none).detach().abs().amax((1, 2, 3))
    assert difference[0] == difference[2] == 0 and difference[1] > 1e-3
    assert network.embed_class.num_embeddings == 5
    none.square().mean().backward()  # without labels, too, the embedding of "no class" is learned
    assert network.embed_class.weight.grad[0].abs().sum() > 0


def test_extra_channels_follow_those_of_the_image():
    network = unet(3, extra_channels=2)
    x, c_noise = inputs(2, 3, 8, 8)
    assert network(x, c_noise).shape == (2, 5, 8, 8)
    assert (network.extra_channels, unet().extra_channels) == (2, 0)


def test_noise_features_are_cosines_and_sines_from_frequency_1_down_to_one_in_ten_thousand():
    network, seen = unet(), []
    network.embed_noise.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x, c_noise = inputs(2, 1, 8, 8)
    network(x, 30 * c_noise)
    angles = [[30 * float(c) * 10_000 ** (-k / 8) for k in range(8)] for c in c_noise]
    expected = [[cos(a) for a in row] + [sin(a) for a in row] for row in angles]
    assert max_abs(seen[0], torch.tensor(expected)) < 1e-5


def test_a_block_is_normalise_convolve_modulate_convolve_add():
    """Written out with the block's own layers; the second half of ``modulate`` shifts."""
    torch.manual_seed(0)
    block, x, embedding = Block(16, 8, 4), torch.randn(2, 16, 4, 4), torch.randn(2, 4)
    torch.nn.init.normal_(block.conv2.weight)
    swish = lambda h: h * torch.sigmoid(h)
    h = block.norm2(block.conv1(swish(block.norm1(x))))
    scale_shift = block.modulate(embedding)
    scale, shift = scale_shift[:, :8, None, None], scale_shift[:, 8:, None, None]
    expected = block.skip(x) + block.conv2(swish(h + h * scale + shift))
    assert max_abs(block(x, embedding), expected) < 1e-5


def test_every_pixel_reaches_every_pixel():
    """Down to the coarsest level and up again: a change in one corner is felt in the other."""
    network = unet(attention=(False, False, True))
    x, c_noise = inputs(1, 1, 16, 16)
    moved = x.clone()
    moved[..., 0, 0] += 3
    assert float((network(moved, c_noise) - network(x, c_noise)).detach()[..., -1, -1].abs()) > 1e-6


def test_every_parameter_is_used():
    network = unet(1, attention=(True, True, True), classes=3)
    x, c_noise = inputs(4, 1, 8, 8)
    network(x, c_noise, torch.tensor([0, 1, 2, 0])).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_attention_is_softmax_attention():
    """One head, written out with an explicit softmax over all pixels."""
    torch.manual_seed(0)
    layer, x = Attention(16), torch.randn(2, 16, 3, 5)
    torch.nn.init.normal_(layer.out.weight)
    q, k, v = layer.qkv(layer.norm(x)).flatten(2).chunk(3, dim=1)  # (2, 16, 15) each
    weights = torch.softmax(q.transpose(1, 2) @ k / 16**0.5, dim=-1)  # (2, query, key)
    expected = x + layer.out((v @ weights.transpose(1, 2)).reshape(x.shape))
    assert max_abs(layer(x), expected) < 1e-5
    assert (
        Attention(128).heads,
        Attention(64).heads,
        Attention(32).heads,
        Attention(96).heads,
    ) == (2, 1, 1, 1)


def test_a_fresh_block_is_its_skip():
    block, x = Block(16, 16, 8, attention=True), torch.randn(2, 16, 4, 4)
    assert max_abs(block(x, torch.randn(2, 8)), x) == 0


# --- what must not be random


def test_dropout_acts_in_training_only():
    network = unet(dropout=0.5)
    x, c_noise = inputs(2, 1, 8, 8)
    assert max_abs(network(x, c_noise), network(x, c_noise)) == 0
    network.train()
    assert max_abs(network(x, c_noise), network(x, c_noise)) > 1e-4


def test_the_same_seed_gives_the_same_network():
    x, c_noise = inputs(2, 1, 8, 8)
    assert max_abs(unet()(x, c_noise), unet()(x, c_noise)) == 0


def test_settings_rebuild_the_network():
    network = unet(
        3,
        multipliers=[1, 2],
        blocks=2,
        attention=[False, True],
        classes=5,
        dropout=0.1,
        extra_channels=3,
    )
    copy = UNet(**network.settings).eval()
    copy.load_state_dict(network.state_dict())
    x, c_noise = inputs(2, 3, 8, 8)
    assert max_abs(network(x, c_noise), copy(x, c_noise)) == 0


# --- transformations: nothing in the network depends on a value


def conditional_unet():
    return unet(1, multipliers=(1, 2), attention=(False, True), classes=3, extra_channels=1)


def test_compiles_into_one_graph():
    network = conditional_unet()
    x, c_noise = inputs(3, 1, 8, 8)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    for labels in (None, torch.tensor([2, -1, 0])):
        assert max_abs(compiled(x, c_noise, labels), network(x, c_noise, labels)) < 1e-5


def test_forward_derivatives_are_differences():
    network, labels = conditional_unet().requires_grad_(False), torch.tensor([1, -1])
    x, c_noise = inputs(2, 1, 8, 8)
    v, w = torch.randn_like(x), torch.ones_like(c_noise)
    F, slope = torch.func.jvp(lambda *a: network(*a, labels), (x, c_noise), (v, w))
    assert max_abs(F, network(x, c_noise, labels)) < 1e-5
    network, x, c_noise, v, w = (a.double() for a in (network, x, c_noise, v, w))
    f = lambda h: network(x + h * v, c_noise + h * w, labels)
    difference = (f(1e-5) - f(-1e-5)) / 2e-5
    assert max_abs(slope, difference) < 1e-4 * float(difference.detach().abs().max())


def test_vmap_maps_over_sets_of_samples():
    network = conditional_unet()
    x, c_noise = inputs(6, 1, 8, 8)
    x, c_noise, labels = x.reshape(3, 2, 1, 8, 8), c_noise.reshape(3, 2), torch.arange(6) % 4 - 1
    mapped = torch.func.vmap(network)(x, c_noise, labels.reshape(3, 2))
    together = network(x.flatten(0, 1), c_noise.flatten(), labels)
    assert max_abs(mapped.flatten(0, 1), together) < 1e-5
