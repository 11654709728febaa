"""Bad calls of networks."""

import torch

from fewstep.networks import Attention, Block, UNet

NAN = float("nan")
X, C_NOISE, LABELS = torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.tensor([0, 1])
PLAIN = UNet(1, 8, (1, 2, 2), 1)
CONDITIONAL = UNet(1, 8, (1,), 1, classes=4)
BLOCK, ATTENTION = Block(8, 8, 4), Attention(8)
MAPS, EMBEDDING = torch.zeros(2, 8, 4, 4), torch.zeros(2, 4)


def of_maps(f):
    """What every layer must refuse in place of feature maps (2, 8, 4, 4)."""
    return [
        (lambda: f(None), "x = None: must be a torch.Tensor of shape (B, ...)"),
        (lambda: f(MAPS.numpy()), "must be a torch.Tensor of shape (B, ...)"),
        (lambda: f(MAPS.byte()), "x.dtype = torch.uint8: must be floating"),
        (lambda: f(MAPS.double()), "x.dtype = torch.float64: must be torch.float32"),
        (lambda: f(MAPS[0]), "x.shape = (8, 4, 4): must be (B, 8, H, W), not empty"),
        (lambda: f(MAPS[:, :4]), "x.shape = (2, 4, 4, 4): must be (B, 8, H, W), not empty"),
        (lambda: f(MAPS[..., :0]), "x.shape = (2, 8, 4, 0): must be (B, 8, H, W), not empty"),
    ]


BAD = {
    "networks.Block": [
        (lambda: Block(0, 8, 4), "channels_in = 0: must be an integer ≥ 4"),
        (lambda: Block(3, 8, 4), "channels_in = 3: must be an integer ≥ 4"),
        (lambda: Block(None, 8, 4), "channels_in = None: must be an integer ≥ 4"),
        (lambda: Block(8, 2, 4), "channels_out = 2: must be an integer ≥ 4"),
        (lambda: Block(8, 8.0, 4), "channels_out = 8.0: must be an integer ≥ 4"),
        (lambda: Block(8, 8, 0), "embedding = 0: must be an integer ≥ 1"),
        (lambda: Block(8, 8, EMBEDDING), "must be an integer ≥ 1"),
        (lambda: Block(8, 8, 4, 16), "attention = 16: must be True or False"),
        (lambda: Block(8, 8, 4, None), "attention = None: must be True or False"),
        (lambda: Block(8, 8, 4, dropout=1.0), "dropout = 1.0: must be a finite number ≥ 0 and <"),
        (lambda: Block(8, 8, 4, dropout=-0.1), "dropout = -0.1: must be a finite number ≥ 0"),
        (lambda: Block(8, 8, 4, dropout=None), "dropout = None: must be a finite number ≥ 0"),
    ],
    "networks.Block.forward": [
        *of_maps(lambda x: BLOCK(x, EMBEDDING)),
        (lambda: BLOCK(MAPS, None), "embedding = None: must be a floating-point tensor (B, C)"),
        (lambda: BLOCK(MAPS, 0.5), "embedding = 0.5: must be a floating-point tensor (B, C)"),
        (lambda: BLOCK(MAPS, EMBEDDING.long()), "must be a floating-point tensor (B, C)"),
        (lambda: BLOCK(MAPS, EMBEDDING[:1]), "embedding.shape = (1, 4): must be (2, 4)"),
        (lambda: BLOCK(MAPS, EMBEDDING[:, :3]), "embedding.shape = (2, 3): must be (2, 4)"),
        (lambda: BLOCK(MAPS, EMBEDDING.double()), "embedding.dtype = torch.float64: must be"),
    ],
    "networks.Attention": [
        (lambda: Attention(0), "channels = 0: must be an integer ≥ 4"),
        (lambda: Attention(3), "channels = 3: must be an integer ≥ 4"),
        (lambda: Attention(64.0), "channels = 64.0: must be an integer ≥ 4"),
        (lambda: Attention(None), "channels = None: must be an integer ≥ 4"),
        (lambda: Attention((64,)), "channels = (64,): must be an integer ≥ 4"),
    ],
    "networks.Attention.forward": of_maps(ATTENTION),
    "networks.UNet": [
        (lambda: UNet(0), "image_channels = 0: must be an integer ≥ 1"),
        (lambda: UNet("1"), "image_channels = '1': must be an integer ≥ 1"),
        (lambda: UNet(None), "image_channels = None: must be an integer ≥ 1"),
        (lambda: UNet((1, 8, 8)), "image_channels = (1, 8, 8): must be an integer ≥ 1"),
        (lambda: UNet(1, channels=12), "channels = 12: must be a multiple of 8"),
        (lambda: UNet(1, channels=0), "channels = 0: must be an integer ≥ 8"),
        (lambda: UNet(1, channels=16.0), "channels = 16.0: must be an integer ≥ 8"),
        (lambda: UNet(1, channels=None), "channels = None: must be an integer ≥ 8"),
        (lambda: UNet(1, 8, ()), "multipliers = (): must be one integer for each level"),
        (lambda: UNet(1, 8, 2), "multipliers = 2: must be one integer for each level"),
        (lambda: UNet(1, 8, "12"), "multipliers = '12': must be one integer for each level"),
        (lambda: UNet(1, 8, None), "multipliers = None: must be one integer for each level"),
        (lambda: UNet(1, 8, (0, 1)), "multipliers = 0: must be an integer ≥ 1"),
        (lambda: UNet(1, 8, (1, 1.5)), "multipliers = 1.5: must be an integer ≥ 1"),
        (lambda: UNet(1, blocks=0), "blocks = 0: must be an integer ≥ 1"),
        (lambda: UNet(1, blocks=(1, 2, 2)), "blocks = (1, 2, 2): must be an integer ≥ 1"),
        (lambda: UNet(1, attention=True), "attention = True: must be one True or False for each"),
        (lambda: UNet(1, attention=(True,)), "attention = (True,): must be one True or False for"),
        (lambda: UNet(1, attention=(0, 0, 16)), "attention = (0, 0, 16): must be one True or"),
        (lambda: UNet(1, attention="all"), "attention = 'all': must be one True or False for each"),
        (lambda: UNet(1, classes=-1), "classes = -1: must be an integer ≥ 0"),
        (lambda: UNet(1, classes=("a", "b")), "classes = ('a', 'b'): must be an integer ≥ 0"),
        (lambda: UNet(1, classes=None), "classes = None: must be an integer ≥ 0"),
        (lambda: UNet(1, dropout=1.0), "dropout = 1.0: must be a finite number ≥ 0 and < 1"),
        (lambda: UNet(1, dropout=-0.1), "dropout = -0.1: must be a finite number ≥ 0 and < 1"),
        (lambda: UNet(1, dropout=NAN), "dropout = nan: must be a finite number ≥ 0 and < 1"),
        (lambda: UNet(1, dropout=None), "dropout = None: must be a finite number ≥ 0 and < 1"),
        (lambda: UNet(1, extra_channels=-1), "extra_channels = -1: must be an integer ≥ 0"),
        (lambda: UNet(1, extra_channels=True), "extra_channels = True: must be an integer ≥ 0"),
    ],
    "networks.UNet.forward": [
        (lambda: PLAIN([[0.0]], C_NOISE), "x = [[0.0]]: must be a torch.Tensor of shape (B, ...)"),
        (lambda: PLAIN(X.byte(), C_NOISE), "x.dtype = torch.uint8: must be floating"),
        (lambda: PLAIN(X.double(), C_NOISE), "x.dtype = torch.float64: must be torch.float32"),
        (lambda: PLAIN(X.half(), C_NOISE), "x.dtype = torch.float16: must be torch.float32"),
        (lambda: PLAIN(X.expand(2, 3, 8, 8), C_NOISE), "x.shape = (2, 3, 8, 8): must be (B, 1, H"),
        (lambda: PLAIN(X[:, 0], C_NOISE), "x.shape = (2, 8, 8): must be (B, 1, H, W)"),
        (lambda: PLAIN(X[:, :, :6], C_NOISE), "x.shape = (2, 1, 6, 8): must be (B, C, H, W) with"),
        (lambda: PLAIN(X[..., :6], C_NOISE), "x.shape = (2, 1, 8, 6): must be (B, C, H, W) with"),
        (lambda: PLAIN(X[..., :0], C_NOISE), "x.shape = (2, 1, 8, 0): must be (B, 1, H, W), not"),
        (lambda: PLAIN(X, 0.5), "c_noise = 0.5: must be a floating-point tensor (B,)"),
        (lambda: PLAIN(X, None), "c_noise = None: must be a floating-point tensor (B,)"),
        (lambda: PLAIN(X, LABELS), "c_noise = [0, 1]: must be a floating-point tensor (B,)"),
        (lambda: PLAIN(X, torch.zeros(3)), "c_noise.shape = (3,): must be (2,)"),
        (lambda: PLAIN(X, torch.tensor(0.0)), "c_noise.shape = (): must be (2,)"),
        (lambda: PLAIN(X, C_NOISE[:, None]), "c_noise.shape = (2, 1): must be (2,)"),
        (lambda: PLAIN(X, C_NOISE.double()), "c_noise.dtype = torch.float64: must be torch.float3"),
        (lambda: PLAIN(X, C_NOISE, LABELS), "labels = [0, 1]: must be None, for this network has"),
        (lambda: CONDITIONAL(X, C_NOISE, [0, 1]), "labels = [0, 1]: must be a tensor (B,) of int"),
        (lambda: CONDITIONAL(X, C_NOISE, 1), "labels = 1: must be a tensor (B,) of integers"),
        (lambda: CONDITIONAL(X, C_NOISE, LABELS + 0.5), "must be a tensor (B,) of integers"),
        (lambda: CONDITIONAL(X, C_NOISE, LABELS > 0), "must be a tensor (B,) of integers"),
        (lambda: CONDITIONAL(X, C_NOISE, LABELS[:1]), "labels.shape = (1,): must be (2,)"),
        (lambda: CONDITIONAL(X, C_NOISE, LABELS[:, None]), "labels.shape = (2, 1): must be (2,)"),
    ],
}
