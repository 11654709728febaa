import multiprocessing
import os
import time

import pytest

from fewstep import _files


def writes_often(path, letter, times):
    for _ in range(times):
        _files.write(path, letter * 50_000)


def writes_pairs(folder, letter, times):
    for _ in range(times):
        with _files.replacing_all(folder / "a.json", folder / "a.png") as parts:
            for part in parts:
                part.write_bytes(letter * 1000)


def at_once(function, path, *letters, times=100):
    """The same writer in several processes."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=function, args=(path, c, times)) for c in letters]
    for writer in writers:
        writer.start()
    return writers


def test_two_writers_and_a_reader_see_whole_files_only(tmp_path):
    path = tmp_path / "x.json"
    _files.write(path, b"0" * 50_000)
    writers = at_once(writes_often, path, b"1", b"2")
    seen = set()
    while any(writer.is_alive() for writer in writers):
        content = path.read_bytes()
        assert len(content) == 50_000 and len(set(content)) == 1
        seen.add(content[:1])
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert {b"1", b"2"} <= seen | {path.read_bytes()[:1]} and len(seen) > 1
    assert os.listdir(tmp_path) == ["x.json"]


def test_files_that_belong_together_agree_after_two_writers(tmp_path):
    for _ in range(5):
        for writer in at_once(writes_pairs, tmp_path, b"1", b"2", b"3", times=20):
            writer.join()
            assert writer.exitcode == 0
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "a.png"]


def test_files_that_belong_together_are_all_replaced_or_none(tmp_path):
    figure, table = tmp_path / "a.png", tmp_path / "a.json"
    with _files.replacing_all(figure, table) as parts:
        for part in parts:
            part.write_bytes(b"old")
    with pytest.raises(OSError, match="no space"), _files.replacing_all(figure, table) as parts:
        parts[0].write_bytes(b"new")
        raise OSError("no space")
    with pytest.raises(FileNotFoundError), _files.replacing_all(figure, table) as parts:
        parts[0].write_bytes(b"new")  # and the second is never written
    assert figure.read_bytes() == table.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.json", "a.png"]
    with (
        pytest.raises(ValueError, match="one folder"),
        _files.replacing_all(figure, tmp_path / "b" / "a.json"),
    ):
        pass


def test_strays_of_killed_writers_go_after_a_day(tmp_path):
    path = tmp_path / "x.json"
    old, fresh = tmp_path / "x.json.12-0123abcd.part", tmp_path / "x.json.13-0123abcd.part"
    others = [tmp_path / name for name in ("x.json.part", "y.json.12-0123abcd.part", "x.json.old")]
    for file in (old, fresh, *others):
        file.touch()
    for file in (old, *others):
        os.utime(file, (time.time() - 90_000,) * 2)
    _files.write(path, b"1")
    assert not old.exists() and fresh.exists() and all(file.exists() for file in others)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="a folder stands where the file should go"):
        _files.write(tmp_path, b"1")


def test_a_file_has_the_rights_of_any_other(tmp_path):
    _files.write(tmp_path / "ours", b"1")
    (tmp_path / "other").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode
