"""Bad calls of scale."""

from fewstep import scale

EMPTY = {"smoke": {}, "cpu": {}, "gpu": {}}

BAD = {
    "scale.settings": [
        (lambda: scale.settings(smoke=None, cpu={}, gpu={}), "smoke = None: must be a dict"),
        (lambda: scale.settings(smoke={}, cpu=[1], gpu={}), "cpu = [1]: must be a dict"),
        (lambda: scale.settings(smoke={}, cpu={}, gpu={1: 2}), "gpu = {1: 2}: must be a dict"),
        (lambda: scale.settings(smoke={"a b": 1}, cpu={"a b": 1}, gpu={"a b": 1}), "smoke = "),
        (
            lambda: scale.settings(smoke={"a": 1}, cpu={"a": 1}, gpu={}),
            "only one of them has ['a']",
        ),
    ],
    "scale.device_name": [
        (lambda: scale.device_name("toaster"), "on = 'toaster': must be a device"),
        (lambda: scale.device_name(3.5), "on = 3.5: must be a device"),
    ],
}
