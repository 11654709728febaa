"""Figures on the finished pages: files of their own, fetched when they come into view, and drawn
for both themes.

A notebook's figure is an SVG inside the page. Here it becomes a file. Of each SVG a second one is
written whose greys run from the dark theme's paper to its ink; colours and pixels stay. The page
then holds both, of which the theme shows one, and a picture that is not shown is not fetched.
"""

import base64
import hashlib
import re
import struct
from pathlib import Path

# From black to white: ink and paper of the theme in the dark, as red, green and blue.
INK, PAPER = (0xCE, 0xD6, 0xDD), (0x12, 0x12, 0x12)
GREY = re.compile(r"#([0-9a-fA-F]{2})\1\1\b")
IMAGE = re.compile(r"<img\b[^>]*?>", re.S)
SOURCE = re.compile(r'\bsrc="([^"]+)"')
DATA = re.compile(r"data:image/(png|svg\+xml);base64,")
POINTS = r'<svg[^>]*\s{}="([\d.]+)pt"'  # how matplotlib writes a size


def dark(svg: str) -> str:
    """The same drawing on dark paper: #000000 becomes ink, #ffffff paper, greys lie between."""

    def grey(match: re.Match) -> str:
        share = int(match[1], 16) / 255
        mixed = (round(i + share * (p - i)) for i, p in zip(INK, PAPER))
        return "#" + "".join(f"{value:02x}" for value in mixed)

    # What names no colour is black, such as letters.
    ink = "#" + "".join(f"{value:02x}" for value in INK)
    return re.sub(r"<svg\b", f'<svg fill="{ink}"', GREY.sub(grey, svg), count=1)


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height in CSS pixels of an SVG by matplotlib, or of a PNG of 144 dots per inch."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24])
        return round(width * 96 / 144), round(height * 96 / 144)
    head = content[:2000].decode("utf-8", "replace")
    sides = [re.search(POINTS.format(side), head) for side in ("width", "height")]
    points = [float(match[1]) for match in sides if match]
    return (round(points[0] * 96 / 72), round(points[1] * 96 / 72)) if len(points) == 2 else None


def with_attributes(tag: str, **attributes: str | int) -> str:
    """The tag with these attributes, where it has none of that name."""
    new = [f'{k}="{v}"' for k, v in attributes.items() if not re.search(rf"\b{k}\s*=", tag)]
    return re.sub(r"^<img\b", " ".join(["<img", *new]), tag)


def themed(tag: str, theme: str) -> str:
    """The tag with one more class."""
    if re.search(r'\bclass="', tag):
        return re.sub(r'\bclass="', f'class="{theme} ', tag, count=1)
    return with_attributes(tag, **{"class": theme})


def on_page(page: Path, images: Path) -> None:
    """Bring one page's pictures into this form."""

    def replace(match: re.Match) -> str:
        tag = match.group()
        source = SOURCE.search(tag)
        if source is None:
            return tag
        link = source[1]
        if data := DATA.match(link):
            content = base64.b64decode(link[data.end() :])
            ending = ".svg" if data[1].startswith("svg") else ".png"
            path = images / (hashlib.sha256(content).hexdigest()[:16] + ending)
            path.write_bytes(content)
            up = "../" * (len(page.relative_to(images.parent).parts) - 1)
            link = f"{up}_images/{path.name}"
            tag = tag.replace(source[1], link)
        else:
            path = images / Path(link).name
            if not (path.is_file() and (page.parent / link).resolve() == path.resolve()):
                return tag
        if box := size(path.read_bytes()):
            tag = with_attributes(tag, width=box[0], height=box[1])
        tag = with_attributes(tag, loading="lazy", decoding="async")
        if path.suffix != ".svg":
            return tag
        other = path.with_name(f"{path.stem}-dark.svg")
        other.write_text(dark(path.read_text("utf-8")), "utf-8")
        pair = [(link, "only-light"), (link.removesuffix(".svg") + "-dark.svg", "only-dark")]
        return "".join(themed(tag.replace(f'"{link}"', f'"{file}"'), theme) for file, theme in pair)

    text = page.read_text("utf-8")
    changed = IMAGE.sub(replace, text)
    if changed != text:
        page.write_text(changed, "utf-8")


def finish(app, exception):
    """Bring all pages' pictures into this form, once they are written."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    images = out / "_images"
    images.mkdir(exist_ok=True)
    for page in out.rglob("*.html"):
        if "_static" not in page.parts:
            on_page(page, images)


def setup(app):
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
