import http.server
import os
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
        with pytest.raises(ValueError, match=f"n = {n}.*1 to 1796"):
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
        (torch.full((3, 1, 8, 8), torch.nan), torch.zeros(3).long(), "nan"),
        (torch.zeros(3, 1, 8, 8), torch.zeros(2).long(), "labels"),
        (torch.zeros(3, 1, 8, 8), torch.zeros(3), "labels.*float32"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 2]), "labels.*from 0 to 2.*0 to 1"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([0, -1, 1]), "labels.*from -1"),
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
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(ValueError, match="split = 'valid'.*'train' or 'test'"):
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
