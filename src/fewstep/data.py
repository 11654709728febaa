"""Pictures and toy distributions: the data that the course models.

Every loader of pictures returns an :class:`Images`: one tensor of pictures, one of labels. Pictures
of 8 bits stay so in memory and become float32 in [-1, 1] a batch at a time. Downloads go to the
folder ``FEWSTEP_DATA`` (by default the user's cache), go on where they were interrupted, and are
checked by hash.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ._checks import require
from ._files import replacing


@dataclass(frozen=True, repr=False)
class Images:
    """Labelled pictures in memory.

    x: (N, C, H, W), uint8 in 0..255 or float32 in [-1, 1].  labels: (N,) int64 in
    0..len(classes)-1.
    classes: the classes' names.  name: what the set is called in tables.
    Raises ValueError for a wrong shape or dtype, a label out of range, NaN.
    """

    x: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self):
        x, labels = self.x, self.labels
        require(x.ndim == 4 and len(x) > 0, "x.shape", tuple(x.shape), "(N, C, H, W) with N > 0")
        require(
            x.dtype in (torch.uint8, torch.float32),
            "x.dtype",
            x.dtype,
            "torch.uint8 or torch.float32",
        )
        if x.dtype == torch.float32:
            low, high = float(x.min()), float(x.max())
            require(
                low >= -1 and high <= 1,
                "x",
                f"values from {low:g} to {high:g}",
                "float pictures in [-1, 1]",
            )
        require(
            labels.shape == (len(x),) and labels.dtype == torch.int64,
            "labels",
            f"{tuple(labels.shape)} {labels.dtype}",
            f"({len(x)},) torch.int64",
        )
        low, high = int(labels.min()), int(labels.max())
        require(
            low >= 0 and high < len(self.classes),
            "labels",
            f"values from {low} to {high}",
            f"0 to {len(self.classes) - 1}, one for each of the {len(self.classes)} classes",
        )

    def __repr__(self):
        return f"Images({self.name!r}: {len(self)} of shape {self.shape}, {self.x.dtype}, {len(self.classes)} classes)"

    def __len__(self):
        return len(self.x)

    @property
    def shape(self):
        """(C, H, W) of one picture."""
        return tuple(self.x.shape[1:])

    def float(self, rows=slice(None)):
        """Pictures as float32 in [-1, 1]; rows: an index, slice or index tensor (default: all)."""
        return to_float(self.x[rows])

    def subset(self, rows):
        """The pictures at these rows (a slice, an index or mask tensor), as another
        :class:`Images`.
        """
        return replace(self, x=self.x[rows], labels=self.labels[rows])

    def split(self, n, seed=0):
        """Two disjoint random parts: one of n pictures, one of the rest."""
        require(0 < n < len(self), "n", n, f"1 to {len(self) - 1}")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.subset(order[:n]), self.subset(order[n:])


def to_float(x):
    """Pictures as float32 in [-1, 1]: uint8 0..255 is mapped linearly, float32 is left as it is."""
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


def digits():
    """scikit-learn's 1797 handwritten digits, 8 × 8 grey: values 0..16 mapped exactly to [-1, 1].

    No download.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).float().div(8).sub(1)[:, None]
    return Images(x, torch.from_numpy(bunch.target).long(), tuple("0123456789"), "digits")


def fashion_mnist(split="train"):
    """Fashion-MNIST: 60,000 ("train") or 10,000 ("test") grey pictures of clothes, 28 × 28 (Xiao
    et al. 2017).

    The original files are looked for in ``FEWSTEP_DATA/FashionMNIST/raw`` and downloaded (31 MB) if
    not there.
    """
    from torchvision.datasets import FashionMNIST

    train = _is_train(split)
    raw = root() / "FashionMNIST" / "raw"
    for archive, md5 in FashionMNIST.resources:
        count = 60_000 if archive.startswith("train") else 10_000
        size = 16 + count * 784 if "images" in archive else 8 + count
        unpacked = raw / archive.removesuffix(".gz")
        if not unpacked.exists() or unpacked.stat().st_size != size:  # not there, or cut short
            unpacked.unlink(missing_ok=True)
            fetch(FashionMNIST.mirrors[0] + archive, raw / archive, md5)
    pictures = FashionMNIST(root(), train=train, download=True)  # unpacks what was fetched
    return Images(
        pictures.data[:, None], pictures.targets.long(), tuple(pictures.classes), "Fashion-MNIST"
    )


def cifar10(split="train"):
    """CIFAR-10: 50,000 ("train") or 10,000 ("test") colour pictures, 32 × 32 (Krizhevsky 2009).

    Downloads 170 MB.
    """
    from torchvision.datasets import CIFAR10

    train = _is_train(split)
    if not (root() / CIFAR10.base_folder).is_dir():
        fetch(CIFAR10.url, root() / CIFAR10.filename, CIFAR10.tgz_md5)
    try:
        pictures = CIFAR10(root(), train=train, download=True)  # unpacks; checks every file by md5
    except (RuntimeError, OSError) as error:
        raise RuntimeError(
            _by_hand(CIFAR10.url, root() / CIFAR10.filename, CIFAR10.tgz_md5, error)
        ) from error
    x = torch.from_numpy(pictures.data).permute(0, 3, 1, 2).contiguous()
    return Images(x, torch.tensor(pictures.targets), tuple(pictures.classes), "CIFAR-10")


def food101(split="train", size=64):
    """Food-101: 75,750 ("train") or 25,250 ("test") photographs of 101 dishes (Bossard et al.

    2014), centre crops.

    size: side in pixels.  Downloads 5 GB at first; the small pictures are then kept in one file
    beside it (64: 0.9 GB).
    """
    from safetensors import safe_open
    from safetensors.torch import save_file
    from torchvision.datasets import Food101

    _is_train(split)
    require(isinstance(size, int) and size >= 1, "size", size, "an integer ≥ 1")
    small = root() / f"food101-{size}px-{split}.safetensors"
    if not small.exists():
        if not (root() / "food-101" / "images").is_dir():
            fetch(Food101._URL, root() / "food-101.tar.gz", Food101._MD5)
        pictures = Food101(root(), split=split, download=True)  # unpacks
        if not all(file.is_file() for file in pictures._image_files):
            raise RuntimeError(
                f"{root() / 'food-101'} is not complete (interrupted?): remove it and run again"
            )
        x = _decode(pictures._image_files, size, 3, f"Food-101 {split}")
        with replacing(small, x.nbytes) as part:
            save_file(
                {"x": x, "labels": torch.tensor(pictures._labels)},
                part,
                {"classes": ",".join(pictures.classes)},
            )
    with safe_open(small, "pt") as file:
        classes = tuple(file.metadata()["classes"].split(","))
        return Images(file.get_tensor("x"), file.get_tensor("labels"), classes, "Food-101")


def image_folder(path, size, channels=3, name=None, progress=True):
    """Pictures of a folder: one subfolder for each class, or all in the folder itself (one class).

    path: the folder.  size: side in pixels; the shorter side is scaled to it, then the centre is
    cut out.
    channels: 3 for colour, 1 for grey.  name: for tables; by default the folder's name.
    Raises FileNotFoundError for no folder, ValueError for no pictures, broken ones (named), or both
    kinds of layout.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"path = {str(path)!r}: no such folder")
    require(isinstance(size, int) and size >= 1, "size", size, "an integer ≥ 1")
    require(channels in (1, 3), "channels", channels, "1 or 3")
    flat = _pictures(path.iterdir())
    folders = {f.name: _pictures(f.rglob("*")) for f in sorted(path.iterdir()) if f.is_dir()}
    folders = {folder: files for folder, files in folders.items() if files}
    require(
        bool(flat) or bool(folders),
        "path",
        str(path),
        f"a folder with pictures ({', '.join(SUFFIXES)})",
    )
    require(
        not (flat and folders),
        "path",
        str(path),
        "a folder with pictures or with subfolders of pictures, not both",
    )
    folders = folders or {path.name: flat}
    labels = torch.tensor([i for i, files in enumerate(folders.values()) for _ in files])
    files = [file for group in folders.values() for file in group]
    x = _decode(files, size, channels, path.name, progress)
    return Images(x, labels, tuple(folders), name or path.name)


SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


def _pictures(files):
    return sorted(
        f
        for f in files
        if f.suffix.lower() in SUFFIXES and f.is_file() and not f.name.startswith(".")
    )


def _decode(files, size, channels, what, progress=True):
    """Files as one uint8 tensor (N, channels, size, size), by several threads.

    Raises ValueError naming broken ones.
    """
    from concurrent.futures import ThreadPoolExecutor

    from tqdm.auto import tqdm

    x, broken = torch.empty(len(files), channels, size, size, dtype=torch.uint8), []

    def one(i):
        try:
            x[i] = _picture(files[i], size, channels)
        except Exception as error:  # whatever Pillow raises on a damaged file
            broken.append((i, f"{files[i]} ({error})"))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bar = tqdm(
            pool.map(one, range(len(files))),
            total=len(files),
            desc=what,
            unit="pictures",
            delay=2,
            disable=not progress,
        )
        for _ in bar:
            pass
    if broken:
        named = "; ".join(text for _, text in sorted(broken)[:5])
        raise ValueError(
            f"{len(broken)} of {len(files)} pictures cannot be read: {named}{' …' if len(broken) > 5 else ''}"
        )
    return x


def _picture(file, size, channels):
    from PIL import Image, ImageOps

    with Image.open(file) as image:
        image.draft(
            None, (3 * size, 3 * size)
        )  # a JPEG is decoded at a fraction of its size where that is enough
        image = ImageOps.exif_transpose(image).convert("RGB" if channels == 3 else "L")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(size, size, channels).permute(2, 0, 1)


def root():
    """The folder of all data sets: ``FEWSTEP_DATA``, or ``fewstep`` in the user's cache folder."""
    import platformdirs

    return Path(
        os.environ.get("FEWSTEP_DATA") or platformdirs.user_cache_dir("fewstep", appauthor=False)
    )


def fetch(url, path, md5, timeout=30):
    """Download a file, going on where an earlier attempt stopped, and give it its name once its
    md5 is right.

    Nothing is done when the file is there.  timeout: seconds without an answer.
    Raises RuntimeError, with what to put where by hand, when there is no network, no room or
    another file came.
    """
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    from tqdm.auto import tqdm

    path = Path(path)
    if path.exists() and _md5(path) == md5:
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        start = part.stat().st_size if part.exists() else 0
        headers = {"User-Agent": "fewstep", **({"Range": f"bytes={start}-"} if start else {})}
        with urlopen(Request(url, headers=headers), timeout=timeout) as answer:
            resumed = answer.status == 206
            total = int(answer.headers.get("Content-Length", 0)) + (start if resumed else 0)
            with (
                open(part, "ab" if resumed else "wb") as file,
                tqdm(
                    total=total or None,
                    initial=start if resumed else 0,
                    desc=path.name,
                    unit="B",
                    unit_scale=True,
                    delay=2,
                ) as bar,
            ):
                while block := answer.read(1 << 20):
                    file.write(block)
                    bar.update(len(block))
        if part.stat().st_size < total:
            raise OSError(
                f"the connection broke off after {part.stat().st_size:,} of {total:,} bytes"
            )
    except (OSError, HTTPException) as error:  # no network, no answer, no room
        if (
            getattr(error, "code", None) == 416
        ):  # the part is longer than the file: begin anew next time
            part.unlink()
        raise RuntimeError(_by_hand(url, path, md5, error)) from error
    if _md5(part) != md5:
        part.unlink()
        raise RuntimeError(_by_hand(url, path, md5, "another or a damaged file came"))
    os.replace(part, path)
    return path


def _md5(path):
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _by_hand(url, path, md5, error):
    return (
        f"{path.name} could not be downloaded ({error}). Run it again to go on with the download, or get {url} by "
        f"hand (md5 {md5}) and put it at {path}. FEWSTEP_DATA names another folder."
    )


def _is_train(split):
    require(split in ("train", "test"), "split", split, "'train' or 'test'")
    return split == "train"
