"""Bad calls of optimizers."""

import torch
from torch import nn

from fewstep import networks, optimizers

WEIGHT, BIAS = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))
NET = networks.UNet(1, 8, (1,), blocks=1)
FROZEN = networks.UNet(1, 8, (1,), blocks=1).requires_grad_(False)

BAD = {
    "optimizers.orthogonalized": [
        (lambda: optimizers.orthogonalized(None), "M = None: must be a torch.Tensor"),
        (lambda: optimizers.orthogonalized(BIAS), "M.shape = (2,): must be (B, ...)"),
        (lambda: optimizers.orthogonalized(WEIGHT.long()), "M.dtype = torch.int64: must be"),
    ],
    "optimizers.Muon": [
        (lambda: optimizers.Muon([]), "parameters = []: must be weights of two or more dimensions"),
        (lambda: optimizers.Muon([BIAS]), "parameters = [(2,)]: must be weights of two or more"),
        (lambda: optimizers.Muon([3]), "parameters = [()]: must be weights of two or more"),
        (lambda: optimizers.Muon(None), "parameters = None: must be weights of two or more"),
        (lambda: optimizers.Muon([WEIGHT], 0), "learning_rate = 0: must be a finite number > 0"),
        (lambda: optimizers.Muon([WEIGHT], "1"), "learning_rate = '1': must be a finite number"),
        (lambda: optimizers.Muon([WEIGHT], momentum=1.0), "momentum = 1.0: must be a finite numb"),
        (lambda: optimizers.Muon([WEIGHT]).step(len), "closure = <built-in function len>: must"),
    ],
    "optimizers.muon": [
        (lambda: optimizers.muon(None), "network = None: must be a network with hidden_weights()"),
        (lambda: optimizers.muon(nn.Linear(2, 2)), "must be a network with hidden_weights()"),
        (lambda: optimizers.muon(FROZEN), "parameters = []: must be weights of two or more"),
        (lambda: optimizers.muon(NET, 0.0), "learning_rate = 0.0: must be a finite number > 0"),
        (lambda: optimizers.muon(NET, adam=-1), "adam = -1: must be a finite number > 0"),
    ],
}
