"""Waiting threads go to sleep: the library says so before torch is loaded."""

import os
import subprocess
import sys

import pytest

CODE = """
import ctypes, sys
import fewstep
assert "torch" not in sys.modules  # else libgomp has been loaded and looks no more
getenv = ctypes.CDLL(None).getenv  # what libgomp will see, which is not os.environ
getenv.restype = ctypes.c_char_p
print(getenv(b"GOMP_SPINCOUNT"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="libgomp is not used there")
@pytest.mark.parametrize(
    "theirs, seen",
    [
        ({}, "b'1000'"),
        ({"GOMP_SPINCOUNT": "7"}, "b'7'"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),  # which a spin count would override
    ],
)
def test_threads_sleep_soon_unless_the_user_said_otherwise(theirs, seen):
    plain = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    out = subprocess.run(
        [sys.executable, "-c", CODE], env=plain | theirs, capture_output=True, text=True, timeout=60
    )
    assert out.stdout.strip() == seen, out.stderr
