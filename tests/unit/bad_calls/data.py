"""Bad calls of data."""

from pathlib import Path

import torch

from fewstep import data

X, LABELS = torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 0])
NAN = torch.full((3, 1, 8, 8), torch.nan)
SET = data.Images(X, LABELS, ("a", "b"), "good")
HERE = Path(__file__).parent
URL, MD5 = "https://example.org/a.bin", "0" * 32

BAD = {
    "data.Images": [
        (lambda: data.Images(None, LABELS, ("a", "b"), "n"), "x = None: must be a tensor"),
        (lambda: data.Images(X.numpy(), LABELS, ("a", "b"), "n"), "must be a tensor (N, C, H, W)"),
        (lambda: data.Images(X[0], LABELS, ("a", "b"), "n"), "x.shape = (1, 8, 8)"),
        (lambda: data.Images(X[:0], LABELS[:0], ("a", "b"), "n"), "x.shape = (0, 1, 8, 8)"),
        (lambda: data.Images(X.long(), LABELS, ("a", "b"), "n"), "x.dtype = torch.int64"),
        (lambda: data.Images(X.double(), LABELS, ("a", "b"), "n"), "x.dtype = torch.float64"),
        (lambda: data.Images(NAN, LABELS, ("a", "b"), "n"), "x = 'NaN or infinity'"),
        (
            lambda: data.Images(X + 2, LABELS, ("a", "b"), "n"),
            "from 2 to 2: must be float pictures",
        ),
        (
            lambda: data.Images(X, [0, 1, 0], ("a", "b"), "n"),
            "labels = [0, 1, 0]: must be a tensor",
        ),
        (lambda: data.Images(X, LABELS.float(), ("a", "b"), "n"), "of torch.int64"),
        (lambda: data.Images(X, LABELS[:2], ("a", "b"), "n"), "a tensor (3,)"),
        (lambda: data.Images(X, LABELS, ("a",), "n"), "labels = [0, 1, 0]: must be 0 to 0"),
        (lambda: data.Images(X, LABELS, 2, "n"), "classes = 2: must be a tuple of names"),
        (lambda: data.Images(X, LABELS, "ab", "n"), "classes = 'ab'"),
        (lambda: data.Images(X, LABELS, (), "n"), "classes = ()"),
        (lambda: data.Images(X, LABELS, ("a", "b"), None), "name = None"),
    ],
    "data.Images.subset": [
        (lambda: SET.subset([5]), "rows = [5]: must be one or more rows of 0 to 2"),
        (lambda: SET.subset([]), "rows = []"),
        (lambda: SET.subset(1), "rows = 1"),
        (lambda: SET.subset("all"), "rows = 'all'"),
        (lambda: SET.subset(None), "rows = None"),
        (lambda: SET.subset(torch.ones(2) > 0), "rows = [True, True]"),
    ],
    "data.Images.split": [
        (lambda: SET.split(0), "n = 0: must be an integer in 1 … 2"),
        (lambda: SET.split(3), "n = 3"),
        (lambda: SET.split(1.5), "n = 1.5"),
        (lambda: SET.split(None), "n = None"),
        (lambda: SET.split(1, seed="x"), "seed = 'x'"),
    ],
    "data.to_float": [
        (lambda: data.to_float(None), "x = None"),
        (lambda: data.to_float([1, 2]), "x = [1, 2]"),
        (lambda: data.to_float(X.long()), "must be a tensor of torch.uint8 or torch.float32"),
    ],
    "data.require_pictures": [
        (lambda: data.require_pictures("x", None), "x = None: must be a tensor (N, 1 or 3, H, W)"),
        (lambda: data.require_pictures("x", X[:, :0]), "x.shape = (3, 0, 8, 8)"),
        (lambda: data.require_pictures("x", X > 0), "x.dtype = torch.bool"),
        (lambda: data.require_pictures("x", NAN), "x = 'NaN or infinity': must be finite"),
    ],
    "data.fashion_mnist": [
        (lambda: data.fashion_mnist("valid"), "split = 'valid': must be one of 'train', 'test'"),
        (lambda: data.fashion_mnist(None), "split = None"),
        (lambda: data.fashion_mnist(True), "split = True"),
    ],
    "data.cifar10": [
        (lambda: data.cifar10("valid"), "split = 'valid': must be one of 'train', 'test'"),
        (lambda: data.cifar10(["train"]), "split = ['train']"),
    ],
    "data.food101": [
        (lambda: data.food101("valid"), "split = 'valid': must be one of 'train', 'test'"),
        (lambda: data.food101("test", size=0), "size = 0"),
        (lambda: data.food101("test", size="64"), "size = '64'"),
        (lambda: data.food101("test", size=None), "size = None"),
    ],
    "data.image_folder": [
        (lambda: data.image_folder(None, 8), "path = None: must be the path of a folder"),
        (lambda: data.image_folder(3, 8), "path = 3"),
        (lambda: data.image_folder(HERE, 8.0), "size = 8.0"),
        (lambda: data.image_folder(HERE, True), "size = True"),
        (lambda: data.image_folder(HERE, 8, channels=2), "channels = 2: must be 1 or 3"),
        (lambda: data.image_folder(HERE, 8, channels="RGB"), "channels = 'RGB'"),
        (lambda: data.image_folder(HERE, 8, name=5), "name = 5"),
    ],
    "data.fetch": [
        (lambda: data.fetch(None, "a.bin", MD5), "url = None: must be an address"),
        (lambda: data.fetch("file:///etc/hosts", "a.bin", MD5), "url = 'file:///etc/hosts'"),
        (lambda: data.fetch(URL, None, MD5), "path = None"),
        (lambda: data.fetch(URL, "a.bin", None), "md5 = None"),
        (lambda: data.fetch(URL, "a.bin", "abc"), "md5 = 'abc': must be 32 hexadecimal digits"),
        (lambda: data.fetch(URL, "a.bin", MD5, timeout=0), "timeout = 0"),
        (lambda: data.fetch(URL, "a.bin", MD5, timeout="long"), "timeout = 'long'"),
    ],
    "data.class_divergence": [
        (lambda: data.class_divergence(X, SET), "must be Images"),
        (lambda: data.class_divergence(SET, None), "b = None: must be Images"),
        (
            lambda: data.class_divergence(SET, data.Images(X, LABELS, ("a", "c"), "other")),
            "b.classes = ('a', 'c'): must be those of a",
        ),
    ],
}
