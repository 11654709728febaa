import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from fewstep import data, toys


def test_digits_are_mapped_exactly():
    digits = data.digits()
    assert digits.x.shape == (1797, 1, 8, 8) and digits.x.dtype == torch.float32
    assert digits.x.min() == -1 and digits.x.max() == 1
    back = (digits.x[:, 0] + 1) * 8
    assert torch.equal(back, torch.from_numpy(load_digits().images).float())
    assert torch.equal(digits.labels, torch.from_numpy(load_digits().target))


def test_split_is_disjoint_complete_and_repeatable():
    digits = data.digits()
    a, b = digits.split(900, seed=3)
    assert (len(a), len(b)) == (900, 897)
    rows = torch.arange(1797).float()[:, None, None, None] / 1797
    marked = data.Images(rows, digits.labels, digits.classes, "marked")
    p, q = marked.split(900, seed=3)
    assert torch.equal(torch.cat([p.x, q.x]).flatten().sort().values, rows.flatten())
    assert torch.equal(p.labels, a.labels)
    assert not torch.equal(marked.split(900, seed=4)[0].x, p.x)
    for n in (0, 1797, -1):
        with pytest.raises(ValueError, match=f"n = {n}.*1 … 1796"):
            digits.split(n)


def test_bytes_become_floats_by_the_batch():
    x = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
    images = data.Images(x, torch.zeros(4, dtype=torch.int64), ("all",), "ramp")
    batch = images.float(torch.tensor([3, 0]))
    assert batch.dtype == torch.float32 and images.x.dtype == torch.uint8
    assert batch[0].max() == 1 and batch[1].min() == -1
    assert (batch.diff(dim=-1) - 2 / 255).abs().max() < 1e-6
    assert images.shape == (1, 8, 8) and len(images.subset([1, 2])) == 2


@pytest.mark.parametrize(
    "x, labels, message",
    [
        (torch.zeros(3, 8, 8), torch.zeros(3).long(), "x.shape"),
        (torch.zeros(0, 1, 8, 8), torch.zeros(0).long(), "x.shape"),
        (torch.zeros(3, 1, 8, 8).double(), torch.zeros(3).long(), "x.dtype.*float64"),
        (torch.full((3, 1, 8, 8), 255.0), torch.zeros(3).long(), r"x = .*255.*\[-1, 1\]"),
        (torch.full((3, 1, 8, 8), torch.nan), torch.zeros(3).long(), "x = 'NaN"),
        (torch.zeros(3, 1, 8, 8), torch.zeros(2).long(), "labels"),
        (torch.zeros(3, 1, 8, 8), torch.zeros(3), "labels.*int64"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 2]), r"labels = \[0, 1, 2\].*0 to 1"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([0, -1, 1]), r"labels = \[0, -1, 1\]"),
    ],
)
def test_bad_images_are_refused(x, labels, message):
    with pytest.raises(ValueError, match=message):
        data.Images(x, labels, ("a", "b"), "bad")


@pytest.fixture
def folder(tmp_path):
    """Two classes, one picture of each a colour of its own; sizes and modes differ."""
    for name, colour in {"red": (255, 0, 0), "blue": (0, 0, 255)}.items():
        (tmp_path / name).mkdir()
        for i, size in enumerate([(16, 16), (64, 40), (30, 90)]):
            Image.new("RGB", size, colour).save(tmp_path / name / f"{i}.png")
    Image.new("L", (16, 16), 100).save(tmp_path / "red" / "grey.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_image_folder_reads_classes(folder):
    images = data.image_folder(folder, 16)
    assert images.classes == ("blue", "red") and images.x.shape == (7, 3, 16, 16)
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert (images.x[:3] == torch.tensor([0, 0, 255]).view(3, 1, 1)).all()
    assert (images.x[3:6] == torch.tensor([255, 0, 0]).view(3, 1, 1)).all()
    assert data.image_folder(folder, 8, channels=1).x.shape == (7, 1, 8, 8)


def test_image_folder_cuts_out_the_centre(tmp_path):
    image = Image.new("RGB", (48, 16), (0, 0, 0))
    image.paste((255, 255, 255), (16, 0, 32, 16))
    image.save(tmp_path / "wide.png")
    images = data.image_folder(tmp_path, 16)
    assert images.classes == (tmp_path.name,) and (images.x == 255).all()


def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path):
    x = torch.randint(256, (16, 16, 3), dtype=torch.uint8)
    Image.fromarray(x.numpy()).save(tmp_path / "a.png")
    assert torch.equal(data.image_folder(tmp_path, 16).x[0], x.permute(2, 0, 1))


def grey(mode, values):
    """A picture of one row of these values."""
    import numpy as np

    return Image.fromarray(np.array([values] * len(values)).astype(mode))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8(tmp_path, name, channels):
    grey("uint16", [0, 257, 32896, 65535]).save(tmp_path / name)
    x = data.image_folder(tmp_path, 4, channels).x
    assert x.shape == (1, channels, 4, 4)
    assert (x == torch.tensor([0, 1, 128, 255], dtype=torch.uint8)).all()


@pytest.mark.parametrize(
    "picture, expected",
    [
        (Image.new("RGBA", (4, 4), (9, 9, 9, 0)), (255, 255, 255)),  # a hidden colour
        (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("LA", (4, 4), (0, 51)), (204, 204, 204)),
        (Image.new("RGB", (4, 4), (7, 8, 9)).quantize(), (7, 8, 9)),  # a palette
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
    ],
    ids=["hidden", "opaque", "grey-alpha", "palette", "bits"],
)
def test_every_mode_is_seen_as_on_white_paper(tmp_path, picture, expected):
    picture.save(tmp_path / "a.png")
    assert (data.image_folder(tmp_path, 4).x[0].permute(1, 2, 0) == torch.tensor(expected)).all()


def test_a_transparent_palette_and_cmyk(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.save(tmp_path / "a.png", transparency=1)
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "b.jpg", quality=100)
    x = data.image_folder(tmp_path, 4).x.float()
    assert (x[0] == 255).all()
    assert (x[1] - torch.tensor([255.0, 0, 0])[:, None, None]).abs().max() < 4  # red


@pytest.mark.parametrize(
    "mode, name", [("int32", "a.tif"), ("float32", "a.tif")], ids=["integers", "floats"]
)
def test_a_picture_whose_white_is_not_known_is_refused_by_name(tmp_path, mode, name):
    grey(mode, [0, 1, 2, 300]).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"1 of 1 pictures cannot be read: .*a\.tif \(mode [IF]"):
        data.image_folder(tmp_path, 4)


def test_a_camera_s_turned_picture_is_turned_back(tmp_path):
    for name, mode in (("a.jpg", "RGB"), ("b.png", "RGBA"), ("c.tif", "RGB")):
        image = Image.new(mode, (16, 8), "black")
        image.paste("white", (0, 0, 8, 8))
        exif = Image.Exif()
        exif[0x0112] = 6  # to be shown a quarter turn clockwise: the left half is on top
        image.save(tmp_path / name, exif=exif)
    x = data.image_folder(tmp_path, 8, channels=1).x[:, 0].float()
    assert (x[:, :3] > 200).all() and (x[:, 5:] < 50).all()


def test_bad_image_folders_are_refused(folder, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match="path = .*nowhere"):
        data.image_folder(folder / "nowhere", 16)
    with pytest.raises(ValueError, match="path = .*a folder with pictures"):
        data.image_folder(tmp_path_factory.mktemp("empty"), 16)
    with pytest.raises(ValueError, match="size = 0"):
        data.image_folder(folder, 0)
    whole = (folder / "red" / "1.png").read_bytes()
    (folder / "red" / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "blue" / "2.png").write_bytes(b"nonsense")
    with pytest.raises(
        ValueError, match=r"2 of 7 pictures cannot be read.*blue.2\.png.*red.1\.png"
    ):
        data.image_folder(folder, 16)
    Image.new("RGB", (16, 16)).save(folder / "loose.png")
    with pytest.raises(ValueError, match="not both"):
        data.image_folder(folder, 16)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves 100,000 bytes; the first connection breaks off half-way; honours Range."""

    payload = bytes(range(250)) * 400
    broken, ranges = 0, []

    def do_GET(self):
        wanted = self.headers.get("Range")
        Server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(self.payload):
            return self.send_error(416)
        body = self.payload[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not Server.broken:
            Server.broken = 1
            self.wfile.write(body[:40_000])
        else:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Server.broken, Server.ranges = 0, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/file.bin"
        httpd.shutdown()


MD5 = "ea5ed5a5b3e4d46c30b4d0ae3ac8a21e"


def test_a_broken_download_goes_on(server, tmp_path):
    import hashlib

    md5, path = hashlib.md5(Server.payload).hexdigest(), tmp_path / "file.bin"
    with pytest.raises(RuntimeError, match="could not be downloaded"):
        data.fetch(server, path, md5)
    assert not path.exists()
    data.fetch(server, path, md5)
    assert path.read_bytes() == Server.payload
    assert Server.ranges == [None, "bytes=40000-"]
    data.fetch(server, path, md5)  # nothing to do
    assert len(Server.ranges) == 2


def test_a_download_with_the_wrong_hash_is_thrown_away(server, tmp_path):
    Server.broken = 1
    with pytest.raises(RuntimeError, match="another or a damaged file"):
        data.fetch(server, tmp_path / "file.bin", MD5)
    assert {path.name for path in tmp_path.iterdir()} <= {"file.bin.lock"}


def test_a_whole_part_only_needs_its_name(server, tmp_path):
    """Killed between the last byte and the new name: the server has nothing more to send."""
    import hashlib

    Server.broken = 1
    (tmp_path / "file.bin.part").write_bytes(Server.payload)
    data.fetch(server, tmp_path / "file.bin", hashlib.md5(Server.payload).hexdigest())
    assert (tmp_path / "file.bin").read_bytes() == Server.payload


def test_two_processes_share_one_download(server, tmp_path, capfd):
    """The second waits for the first, and then finds the file."""
    import hashlib

    from filelock import FileLock

    Server.broken, path = 1, tmp_path / "file.bin"
    md5 = hashlib.md5(Server.payload).hexdigest()
    code = f"from fewstep import data; data.fetch({server!r}, {str(path)!r}, {md5!r})"
    with FileLock(f"{path}.lock"):
        second = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        assert "file.bin: another process downloads it; waiting" in second.stderr.readline()
        path.write_bytes(Server.payload)
    assert second.wait(60) == 0 and Server.ranges == []


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="put it at .*file.bin.*FEWSTEP_DATA"):
        data.fetch(server, tmp_path / "file" / "file.bin", MD5)


def test_the_data_folder_is_a_folder_that_may_be_read(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path / "file"))
    for load in (data.fashion_mnist, data.cifar10, data.food101, data.root):
        with pytest.raises(ValueError, match="FEWSTEP_DATA = .*file.*a folder that may be read"):
            load()
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    assert data.root() == tmp_path
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root
    with pytest.raises(ValueError, match="FEWSTEP_DATA"):
        data.root()


def test_downloads_are_encrypted():
    assert all(
        url.startswith("https://") for url in (data.FASHION_URL, data.CIFAR_URL, data.FOOD_URL)
    )


@pytest.fixture
def original(tmp_path, monkeypatch):
    """A server of the folder ``original``, and ``FEWSTEP_DATA`` a new folder ``ours``."""
    (tmp_path / "original").mkdir()
    (tmp_path / "ours").mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path / "ours"))

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "original")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield tmp_path / "original", f"http://127.0.0.1:{httpd.server_address[1]}/"
        httpd.shutdown()


def md5_of(content):
    import hashlib

    return hashlib.md5(content).hexdigest()


def test_a_damaged_idx_file_is_fetched_anew_and_kept_until_then(original, monkeypatch):
    """On four files of three pictures each, in the place of the originals."""
    import gzip
    import struct

    from torchvision.datasets import FashionMNIST

    folder, address = original
    contents = {
        f"{part}-{kind}": head + bytes(range(size))
        for part in ("train", "t10k")
        for kind, head, size in (
            ("images-idx3-ubyte", struct.pack(">iiii", 2051, 3, 4, 4), 48),
            ("labels-idx1-ubyte", struct.pack(">ii", 2049, 3), 3),
        )
    }
    packed = {name: gzip.compress(content) for name, content in contents.items()}
    monkeypatch.setattr(data, "FASHION_MD5", {n: md5_of(c) for n, c in contents.items()})
    resources = [(f"{name}.gz", md5_of(content)) for name, content in packed.items()]
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    monkeypatch.setattr(data, "FASHION_URL", address)

    raw = data.root() / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in contents.items():
        (raw / name).write_bytes(content)
    assert data.fashion_mnist("test").x.flatten().tolist() == list(range(48))  # without the server
    damaged = raw / "t10k-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")  # the right size, another content
    before = damaged.read_bytes()
    with pytest.warns(UserWarning, match="t10k-images.*damaged"), pytest.raises(RuntimeError):
        data.fashion_mnist("test")
    assert damaged.read_bytes() == before
    for name, content in packed.items():
        (folder / f"{name}.gz").write_bytes(content)
    with pytest.warns(UserWarning, match="t10k-images.*damaged"):
        images = data.fashion_mnist("test")
    assert images.x.flatten().tolist() == list(range(48)) and images.labels.tolist() == [0, 1, 2]
    assert damaged.read_bytes() == contents[damaged.name]


def test_an_incomplete_cifar_folder_is_fetched_anew(original, monkeypatch):
    """On one batch of two pictures for each part."""
    import io
    import pickle
    import tarfile

    from torchvision.datasets import CIFAR10

    folder, address = original
    x = bytes(i % 251 for i in range(2 * 3072))
    import numpy as np

    batch = {"data": np.frombuffer(x, np.uint8).reshape(2, 3072), "labels": [1, 0]}
    files = {
        "data_batch_1": pickle.dumps(batch),
        "test_batch": pickle.dumps(batch),
        "batches.meta": pickle.dumps({"label_names": ["plane", "car"]}),
    }
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    md5 = {name: md5_of(content) for name, content in files.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", md5["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    archive = (folder / "cifar-10-python.tar.gz").read_bytes()
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5_of(archive))
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/nowhere")  # never torchvision's own way
    monkeypatch.setattr(data, "CIFAR_URL", f"{address}cifar-10-python.tar.gz")

    (data.root() / CIFAR10.base_folder).mkdir()
    (data.root() / CIFAR10.base_folder / "test_batch").write_bytes(files["test_batch"][:-9])
    with pytest.warns(UserWarning, match="cifar-10-batches-py is incomplete"):
        images = data.cifar10("test")
    assert images.x.shape == (2, 3, 32, 32) and bytes(images.x.flatten().tolist()) == x
    assert images.labels.tolist() == [1, 0] and images.classes == ("plane", "car")
    assert torch.equal(data.cifar10("train").x, images.x)


@pytest.mark.parametrize(
    "load, file",
    [
        (data.fashion_mnist, "FashionMNIST/raw/train-images-idx3-ubyte.gz"),
        (data.cifar10, "cifar-10-python.tar.gz"),
        (data.food101, "food-101.tar.gz"),
    ],
)
def test_without_a_network_the_message_says_what_to_do(load, file, tmp_path, monkeypatch):
    import urllib.request

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    with pytest.raises(RuntimeError) as caught:
        load("train")
    text = str(caught.value)
    assert (
        "no network" in text
        and str(tmp_path / Path(file)) in text
        and "http" in text
        and "md5" in text
    )
    with pytest.raises(ValueError, match="split = 'valid'.*'train', 'test'"):
        load("valid")


def test_food101_is_decoded_once_and_kept(tmp_path, monkeypatch):
    """On a folder laid out like the original, with two classes of two pictures."""
    import json
    import shutil

    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    names = {"apple_pie": (255, 0, 0), "waffles": (0, 0, 255)}
    for name, colour in names.items():
        (tmp_path / "food-101" / "images" / name).mkdir(parents=True)
        for i, size in enumerate([(512, 384), (100, 200)]):
            Image.new("RGB", size, colour).save(
                tmp_path / "food-101" / "images" / name / f"{i}.jpg", quality=95
            )
    (tmp_path / "food-101" / "meta").mkdir()
    (tmp_path / "food-101" / "meta" / "test.json").write_text(
        json.dumps({n: [f"{n}/0", f"{n}/1"] for n in names})
    )
    images = data.food101("test", size=16)
    assert images.x.shape == (4, 3, 16, 16) and images.x.dtype == torch.uint8
    assert images.classes == ("apple_pie", "waffles") and images.labels.tolist() == [0, 0, 1, 1]
    assert (
        (images.x[0, 0] > 250).all() and (images.x[2, 2] > 250).all() and (images.x[2, 0] < 5).all()
    )
    (tmp_path / "food101-16px-test.safetensors").rename(tmp_path / "kept")
    (tmp_path / "food-101" / "images" / "waffles" / "1.jpg").unlink()
    with pytest.raises(RuntimeError, match="food-101 is not complete.*remove it"):
        data.food101("test", size=16)
    shutil.rmtree(tmp_path / "food-101")
    (tmp_path / "kept").rename(tmp_path / "food101-16px-test.safetensors")
    assert torch.equal(data.food101("test", size=16).x, images.x)
    kept = tmp_path / "food101-16px-test.safetensors"
    whole = kept.read_bytes()
    from safetensors.torch import save

    for damaged in (whole[:-100], b"", b"nonsense", save({"y": images.x}), save({"x": images.x})):
        kept.write_bytes(damaged)
        with pytest.raises(RuntimeError, match="food101-16px.* is damaged.*remove it"):
            data.food101("test", size=16)
    kept.write_bytes(whole)
    kept.rename(tmp_path / "food101-32px-test.safetensors")
    with pytest.raises(RuntimeError, match="is damaged or another file.*32"):
        data.food101("test", size=32)


def fashion_here():
    folder = os.environ.get("FEWSTEP_DATA")
    return (
        bool(folder) and (Path(folder) / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").exists()
    )


@pytest.mark.skipif(not fashion_here(), reason="FEWSTEP_DATA has no FashionMNIST/raw")
def test_fashion_mnist_is_found():
    train, test = data.fashion_mnist("train"), data.fashion_mnist("test")
    assert train.x.shape == (60_000, 1, 28, 28) and test.x.shape == (10_000, 1, 28, 28)
    assert (
        abs(train.x.float().mean() / 255 - 0.2860) < 1e-4
        and abs(train.x.float().std() / 255 - 0.3530) < 1e-4
    )
    assert train.classes[9] == "Ankle boot" and torch.bincount(train.labels).tolist() == [6000] * 10


@pytest.mark.parametrize(
    "name, dimensions",
    [("two_deltas", 1), ("grid25", 2), ("moons", 2), ("spiral", 2), ("checkerboard", 2)],
)
def test_toys(name, dimensions):
    x = toys.toy(name, 5000, seed=1)
    assert x.shape == (5000, dimensions) and x.dtype == torch.float32 and x.abs().max() < 1.3
    assert torch.equal(x, toys.toy(name, 5000, seed=1)) and not torch.equal(
        x, toys.toy(name, 5000, seed=2)
    )
    assert x.mean(0).abs().max() < 0.2


def test_toys_have_their_shape():
    from fewstep.toys import GRID25_MEANS, GRID25_STD

    assert toys.two_deltas(500).unique().tolist() == [-1, 1]
    distance, nearest = torch.cdist(toys.grid25(5000), GRID25_MEANS).min(1)
    assert len(nearest.unique()) == 25 and abs(distance.square().mean() / 2 - GRID25_STD**2) < 1e-4
    square = ((toys.checkerboard(5000) + 1) * 2).floor().sum(1)
    assert (square % 2 == 0).all()


def test_bad_toys_are_refused():
    with pytest.raises(ValueError, match="name = 'swirl'.*spiral"):
        toys.toy("swirl", 10)
    with pytest.raises(ValueError, match="n = 0"):
        toys.moons(0)
