from __future__ import annotations

import os

import pytest
import torch

from snlab.core.errors import UserError
from snlab.tracking.checkpoints import (
    AtomicCheckpointIO,
    checkpoint_path,
    checkpoints,
    is_whole,
    newest_good,
    remove,
)

IO = AtomicCheckpointIO()


def save(folder, step):
    path = checkpoint_path(folder, step)
    IO.save_checkpoint({"step": step, "weights": torch.arange(1000.0)}, path)
    return path


def test_what_is_saved_is_loaded(tmp_path):
    path = save(tmp_path, 7)
    loaded = IO.load_checkpoint(path)
    assert loaded["step"] == 7
    assert torch.equal(loaded["weights"], torch.arange(1000.0))
    assert {p.name for p in tmp_path.iterdir()} == {path.name, path.name + ".sha256"}


def test_the_newest_good_one_is_found(tmp_path):
    assert newest_good(tmp_path) is None
    first, second = save(tmp_path, 9), save(tmp_path, 100)
    assert checkpoints(tmp_path) == [second, first]
    assert newest_good(tmp_path) == second
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1  # one flipped bit, which torch.load lets pass
    second.write_bytes(data)
    assert newest_good(tmp_path) == first
    with pytest.raises(UserError, match="damaged"):
        IO.load_checkpoint(second)
    remove(second)
    assert checkpoints(tmp_path) == [first]


@pytest.mark.parametrize("cut", ["checkpoint", "checksum"])
def test_one_file_without_the_other_is_no_checkpoint(tmp_path, cut):
    path = save(tmp_path, 1)
    (path if cut == "checkpoint" else path.with_name(path.name + ".sha256")).unlink()
    assert not is_whole(path)
    assert newest_good(tmp_path) is None


def test_a_kill_at_any_write_leaves_the_last_good_one(tmp_path, monkeypatch):
    """Whichever of the two renames never happens, the checkpoint before is the newest good one."""
    first = save(tmp_path, 1)
    original = os.replace
    for survives in (0, 1):
        calls = []

        def replace(source, target, *, survives=survives, calls=calls):
            if len(calls) >= survives:
                raise KeyboardInterrupt
            calls.append(target)
            return original(source, target)

        monkeypatch.setattr("pathlib.Path.replace", replace)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 2)
        monkeypatch.undo()
        assert newest_good(tmp_path) == first


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    path = checkpoint_path(tmp_path, 1)
    IO.save_checkpoint({"evil": Evil()}, path)
    with pytest.raises(Exception, match=r"weights_only|Unsupported|unpickl"):
        IO.load_checkpoint(path)
    assert not (tmp_path / "made").exists()
