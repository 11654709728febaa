"""Pictures: the data that the course models.

Every loader returns an :class:`Images`: one tensor of pictures, one of labels. Pictures of 8 bits
stay so in memory and become float32 in [-1, 1] a batch at a time. Downloads go to the folder
``FEWSTEP_DATA`` (by default the user's cache), go on where they were interrupted, and are checked
by hash.
"""

import gzip
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ._checks import choice, count, describe, number, require
from ._files import check_room, replacing

if TYPE_CHECKING:
    from PIL.Image import Image

FASHION_URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
FASHION_MD5 = {  # of the unpacked files
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
FOOD_URL = "https://data.vision.ee.ethz.ch/cvl/food-101.tar.gz"


@dataclass(frozen=True, repr=False)
class Images:
    """Labelled pictures in memory.

    x: (N, C, H, W), uint8 in 0..255 or float32 in [-1, 1].
    labels: (N,) int64 in 0..len(classes)-1.
    classes: the classes' names.  name: what the set is called in tables.
    Raises ValueError for a wrong shape or type, a label out of range, NaN.
    """

    x: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        x, labels = self.x, self.labels
        require_pictures("x", x, channels=None)
        if x.dtype != torch.uint8:
            require(x.dtype == torch.float32, "x.dtype", x.dtype, "torch.uint8 or torch.float32")
            require(x.min() >= -1 and x.max() <= 1, "x", x, "float pictures in [-1, 1]")
        named = isinstance(self.classes, tuple) and all(isinstance(c, str) for c in self.classes)
        require(named and self.classes, "classes", self.classes, "a tuple of names")
        require(isinstance(self.name, str), "name", self.name, "a word")
        fits = isinstance(labels, torch.Tensor) and labels.shape == (len(x),)
        fits = fits and labels.dtype == torch.int64
        require(fits, "labels", labels, f"a tensor ({len(x)},) of torch.int64")
        known = labels.min() >= 0 and labels.max() < len(self.classes)
        require(known, "labels", labels, f"0 to {len(self.classes) - 1}, one for each class")

    def __repr__(self) -> str:
        return (
            f"Images({self.name!r}: {len(self)} of shape {self.shape}, {self.x.dtype}, "
            f"{len(self.classes)} classes)"
        )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of one picture."""
        return tuple(self.x.shape[1:])

    def float(self, rows: Any = slice(None)) -> torch.Tensor:
        """Pictures as float32 in [-1, 1]; rows: an index, slice or index tensor (default: all)."""
        return to_float(self.x[rows])

    def subset(self, rows: Any) -> "Images":
        """The pictures at these rows, as another :class:`Images`.

        rows: a slice, a list, an index or mask tensor.  Raises ValueError for rows not there.
        """
        try:
            rows = rows if isinstance(rows, slice) else torch.as_tensor(rows)
            return replace(self, x=self.x[rows], labels=self.labels[rows])
        except (IndexError, TypeError, ValueError, RuntimeError) as error:
            allowed = f"one or more rows of 0 to {len(self) - 1}, as a slice, list or tensor"
            raise ValueError(f"rows = {describe(rows)}: must be {allowed}") from error

    def split(self, n: int, seed: int = 0) -> tuple["Images", "Images"]:
        """Two disjoint random parts: one of n pictures, one of the rest."""
        count("n", n, 1, len(self) - 1)
        generator = torch.Generator().manual_seed(count("seed", seed, 0, 2**63 - 1))
        order = torch.randperm(len(self), generator=generator)
        return self.subset(order[:n]), self.subset(order[n:])


def class_divergence(a: Images, b: Images) -> float:
    """Jensen–Shannon divergence of two sets' class frequencies, in nats: 0 where they are equal.

    a, b: of the same classes.
    """
    from scipy.spatial.distance import jensenshannon

    for argument, images in (("a", a), ("b", b)):
        require(isinstance(images, Images), argument, images, "Images")
    require(a.classes == b.classes, "b.classes", b.classes, "those of a")
    counts = [torch.bincount(images.labels, minlength=len(a.classes)) for images in (a, b)]
    return float(jensenshannon(*(c.numpy() / c.sum().item() for c in counts)) ** 2)


def to_float(x: torch.Tensor) -> torch.Tensor:
    """Pictures as float32 in [-1, 1]: uint8 0..255 is mapped linearly, float32 is left as it is."""
    known = isinstance(x, torch.Tensor) and x.dtype in (torch.uint8, torch.float32)
    require(known, "x", x, "a tensor of torch.uint8 or torch.float32")
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


def require_pictures(argument: str, x: Any, channels: Sequence[int] | None = (1, 3)) -> None:
    """Raise ValueError unless ``x`` is (N, C, H, W), N > 0, of uint8 or of finite floats.

    channels: the C that are allowed; None for any.
    """
    form = f"(N, {'C' if channels is None else ' or '.join(map(str, channels))}, H, W)"
    require(isinstance(x, torch.Tensor), argument, x, f"a tensor {form}")
    fits = x.ndim == 4 and x.numel() > 0 and (channels is None or x.shape[1] in channels)
    require(fits, f"{argument}.shape", tuple(x.shape), f"{form}, with one picture or more")
    typed = x.dtype == torch.uint8 or x.is_floating_point()
    require(typed, f"{argument}.dtype", x.dtype, "torch.uint8 or a floating type")
    finite = x.dtype == torch.uint8 or torch.isfinite(x).all()
    require(finite, argument, "NaN or infinity", "finite everywhere")


def digits() -> Images:
    """scikit-learn's 1797 handwritten digits, 8 × 8 grey, without a download.

    Values 0..16 are mapped exactly to [-1, 1].
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).float().div(8).sub(1)[:, None]
    return Images(x, torch.from_numpy(bunch.target).long(), tuple("0123456789"), "digits")


def fashion_mnist(split: str = "train") -> Images:
    """Fashion-MNIST: grey pictures of clothes, 28 × 28 (Xiao et al. 2017).

    split: "train" (60,000) or "test" (10,000).
    The original files are looked for in ``FEWSTEP_DATA/FashionMNIST/raw``; what is not there, or
    is damaged, is downloaded (31 MB).
    Raises RuntimeError when that fails.
    """
    from torchvision.datasets import FashionMNIST

    choice("split", split, ("train", "test"))
    raw = root() / "FashionMNIST" / "raw"
    for packed, md5 in FashionMNIST.resources:
        file = raw / packed.removesuffix(".gz")
        if _is_whole(file, FASHION_MD5[file.name]):
            continue
        _warn_of_damage(file)
        archive = fetch(FASHION_URL + packed, raw / packed, md5)
        with replacing(file) as part, gzip.open(archive) as source, open(part, "wb") as target:
            shutil.copyfileobj(source, target)
    pictures = FashionMNIST(root(), train=split == "train")
    classes = tuple(pictures.classes)
    return Images(pictures.data[:, None], pictures.targets.long(), classes, "Fashion-MNIST")


def cifar10(split: str = "train") -> Images:
    """CIFAR-10: colour pictures of ten kinds of things, 32 × 32 (Krizhevsky 2009).

    split: "train" (50,000) or "test" (10,000).
    Downloads 170 MB when a file is missing or damaged; raises RuntimeError when that fails.
    """
    from torchvision.datasets import CIFAR10

    train = choice("split", split, ("train", "test")) == "train"
    archive = root() / CIFAR10.filename
    try:
        pictures = CIFAR10(root(), train=train)  # checks every file by md5
    except RuntimeError:
        _warn_of_damage(root() / CIFAR10.base_folder)
        fetch(CIFAR_URL, archive, CIFAR10.tgz_md5)
        try:
            pictures = CIFAR10(root(), train=train, download=True)  # unpacks what was fetched
        except (RuntimeError, OSError) as error:
            text = _by_hand(CIFAR_URL, archive, CIFAR10.tgz_md5, error)
            raise RuntimeError(text) from error
    x = torch.from_numpy(pictures.data).permute(0, 3, 1, 2).contiguous()
    return Images(x, torch.tensor(pictures.targets), tuple(pictures.classes), "CIFAR-10")


def food101(split: str = "train", size: int = 64) -> Images:
    """Food-101: photographs of 101 dishes, centre crops (Bossard et al. 2014).

    split: "train" (75,750) or "test" (25,250).  size: side in pixels.
    Downloads 5 GB at first; the small pictures are then kept in one file beside it (64: 0.9 GB).
    Raises RuntimeError when the download fails, or when what lies there is damaged.
    """
    from safetensors.torch import save_file
    from torchvision.datasets import Food101

    choice("split", split, ("train", "test"))
    count("size", size)
    small, originals = root() / f"food101-{size}px-{split}.safetensors", root() / "food-101"
    if not small.exists():
        if not ((originals / "images").is_dir() and (originals / "meta").is_dir()):
            fetch(FOOD_URL, root() / "food-101.tar.gz", Food101._MD5)
        try:
            pictures = Food101(root(), split=split, download=True)  # unpacks
            if not all(file.is_file() for file in pictures._image_files):
                raise FileNotFoundError("pictures are missing")
        except (OSError, ValueError, KeyError) as error:
            text = f"{originals} is not complete (interrupted?): remove it and run again ({error})"
            raise RuntimeError(text) from error
        files, labels = pictures._image_files, torch.tensor(pictures._labels)
        check_room(small, 3 * size * size * len(files))  # before an hour of work
        x = _decode(files, size, 3, f"Food-101 {split}")
        with replacing(small, x.nbytes) as part:
            save_file({"x": x, "labels": labels}, part, {"classes": ",".join(pictures.classes)})
    return _read_small(small, size)


def _read_small(path: Path, size: int) -> Images:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            classes = tuple(file.metadata()["classes"].split(","))
            images = Images(file.get_tensor("x"), file.get_tensor("labels"), classes, "Food-101")
        require(images.shape == (3, size, size), "x.shape", images.shape, f"(3, {size}, {size})")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        text = f"{path} is damaged or another file ({error}): remove it and run again"
        raise RuntimeError(text) from error
    return images


def image_folder(
    path: str | os.PathLike,
    size: int,
    channels: int = 3,
    name: str | None = None,
    progress: bool = True,
) -> Images:
    """Pictures of a folder: one subfolder for each class, or all in the folder itself (one class).

    path: the folder.  size: side in pixels; the shorter side is scaled to it, then the centre is
    cut out.  channels: 3 for colour, 1 for grey.  name: for tables; None for the folder's name.
    16 bits become 8, what is transparent becomes white, and of moving pictures the first is taken.
    Raises FileNotFoundError for no folder; ValueError for no pictures, both kinds of layout, or
    pictures that cannot be read, or whose white is not known (32 bits), with their names.
    """
    require(isinstance(path, (str, os.PathLike)), "path", path, "the path of a folder")
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"path = {str(path)!r}: no such folder")
    count("size", size)
    require(count("channels", channels) in (1, 3), "channels", channels, "1 or 3")
    require(name is None or isinstance(name, str), "name", name, "a word")
    flat = _pictures(folder.iterdir())
    classes = {f.name: _pictures(f.rglob("*")) for f in sorted(folder.iterdir()) if f.is_dir()}
    classes = {name: files for name, files in classes.items() if files}
    allowed = f"a folder with pictures ({', '.join(SUFFIXES)})"
    require(flat or classes, "path", str(path), allowed)
    allowed = "a folder with pictures or with subfolders of pictures, not both"
    require(not (flat and classes), "path", str(path), allowed)
    classes = classes or {folder.resolve().name: flat}
    labels = torch.tensor([i for i, files in enumerate(classes.values()) for _ in files])
    files = [file for group in classes.values() for file in group]
    name = name or folder.resolve().name
    return Images(_decode(files, size, channels, name, progress), labels, tuple(classes), name)


SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


def _pictures(files: Iterable[Path]) -> list[Path]:
    return sorted(
        f
        for f in files
        if f.suffix.lower() in SUFFIXES and f.is_file() and not f.name.startswith(".")
    )


def _decode(
    files: Sequence[Path], size: int, channels: int, what: str, progress: bool = True
) -> torch.Tensor:
    """Files as one uint8 tensor (N, channels, size, size), by several threads.

    Raises ValueError naming broken ones.
    """
    from concurrent.futures import ThreadPoolExecutor

    from tqdm.auto import tqdm

    x = torch.empty(len(files), channels, size, size, dtype=torch.uint8)
    broken: list[tuple[int, str]] = []

    def one(i: int) -> None:
        try:
            x[i] = _picture(files[i], size, channels)
        except Exception as error:  # whatever Pillow raises on a damaged file
            broken.append((i, f"{files[i]} ({error})"))

    bar = tqdm(total=len(files), desc=what, unit="pictures", delay=2, disable=not progress)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for _ in pool.map(one, range(len(files))):
            bar.update()
    if broken:
        named = "; ".join(text for _, text in sorted(broken)[:5])
        more = " …" if len(broken) > 5 else ""
        raise ValueError(f"{len(broken)} of {len(files)} pictures cannot be read: {named}{more}")
    return x


def _picture(file: Path, size: int, channels: int) -> torch.Tensor:
    """The centre of one picture, uint8 (channels, size, size)."""
    from PIL import Image, ImageOps

    with Image.open(file) as source:
        # a JPEG is decoded at a fraction of its size where that is enough
        source.draft(None, (3 * size, 3 * size))
        ImageOps.exif_transpose(source, in_place=True)
        image = _opaque(source).convert("RGB" if channels == 3 else "L")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(size, size, channels).permute(2, 0, 1)


def _opaque(image: Any) -> "Image":
    """A picture of 8 bits on white ground: Pillow's ``convert`` clips 16 bits and drops alpha.

    Raises ValueError where the value of white is not known.
    """
    import numpy as np
    from PIL import Image

    if image.mode[0] in "IF":  # 16 or 32 bits
        of_16_bits = image.format in ("PNG", "PPM") and image.mode != "F"
        if image.format == "TIFF" and image.mode.startswith("I;16"):
            bits, zero_is_black = image.tag_v2.get(258), image.tag_v2.get(262)
            of_16_bits = bits == (16,) and zero_is_black == 1
        if not of_16_bits or "transparency" in image.info:
            raise ValueError(f"mode {image.mode}, its white is not known: save it with 8 bits")
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode.lower() in ("rgba", "la", "pa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image


def root() -> Path:
    """The folder of all data sets: ``FEWSTEP_DATA``, or "fewstep" in the user's cache folder.

    Raises ValueError when no folder is or can be there, or when it must not be read.
    """
    import platformdirs

    named = os.environ.get("FEWSTEP_DATA")
    folder = named or platformdirs.user_cache_dir("fewstep", appauthor=False)
    readable = os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)
    allowed = "a folder that may be read, or the name of a new one"
    require(readable or not os.path.exists(folder), "FEWSTEP_DATA", folder, allowed)
    return Path(folder)


def fetch(url: str, path: str | os.PathLike, md5: str, timeout: float = 30) -> Path:
    """Download a file, going on where an earlier attempt stopped; it gets its name when whole.

    url: of http or https.  md5: of the whole file, 32 hexadecimal digits.
    timeout: seconds without an answer.
    Nothing is done when the file is there.  Of several processes one downloads and the others
    wait for it.
    Raises RuntimeError, with what to put where by hand, when there is no network, no room, no
    right to write, or another file came.
    """
    from http.client import HTTPException

    from filelock import FileLock, Timeout

    known = isinstance(url, str) and url.startswith(("http://", "https://"))
    require(known, "url", url, "an address that begins with https:// or http://")
    require(isinstance(path, (str, os.PathLike)), "path", path, "the path of a file")
    hexadecimal = isinstance(md5, str) and len(md5) == 32 and set(md5) <= set("0123456789abcdef")
    require(hexadecimal, "md5", md5, "32 hexadecimal digits")
    number("timeout", timeout, above=0)
    path = Path(path)
    if _is_whole(path, md5):
        return path
    part = path.with_name(path.name + ".part")
    lock = FileLock(path.with_name(path.name + ".lock"))  # free again when its process dies
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            print(f"{path.name}: another process downloads it; waiting", file=sys.stderr)
            lock.acquire()
        if not _is_whole(path, md5):  # not by the other process either
            _download(url, part, timeout)
            if not _is_whole(part, md5):
                part.unlink()
                raise OSError("another or a damaged file came")
            os.replace(part, path)
    except (OSError, HTTPException) as error:
        raise RuntimeError(_by_hand(url, path, md5, error)) from error
    finally:
        lock.release()
    return path


def _download(url: str, part: Path, timeout: float) -> None:
    """Append to ``part`` what it lacks. Raises OSError when less came than was announced."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from tqdm.auto import tqdm

    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "fewstep", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        answer = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == 416:  # nothing is lacking, if it is the right file
            return
        raise
    with answer:
        if answer.status != 206:  # the server sends the whole file
            start = 0
        total = int(answer.headers.get("Content-Length", 0)) + start
        bar = tqdm(
            total=total or None, initial=start, desc=part.stem, unit="B", unit_scale=True, delay=2
        )
        with open(part, "ab" if start else "wb") as file, bar:
            while block := answer.read(1 << 20):
                file.write(block)
                bar.update(len(block))
    came = part.stat().st_size
    if came < total:
        raise OSError(f"the connection broke off after {came:,} of {total:,} bytes")


def _is_whole(path: Path, md5: str) -> bool:
    import hashlib

    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5


def _warn_of_damage(path: Path) -> None:
    if path.exists():
        warnings.warn(f"{path} is incomplete or damaged; it is fetched anew", stacklevel=3)


def _by_hand(url: str, path: Path, md5: str, error: Exception) -> str:
    return (
        f"{path.name} could not be downloaded ({error}). Run it again to go on with the download, "
        f"or get {url} by hand (md5 {md5}) and put it at {path}. "
        "FEWSTEP_DATA names another folder."
    )
