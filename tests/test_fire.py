"""Hostile and damaged files: a value or its own error, in bounded memory, and nothing else fails.

Small by default; `PIXELCNN_FIRE=500` tries 500 times as much. `docs/fire.md` has the figures.
"""

import json
import os
import struct
import subprocess
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from pixelcnn import storage
from pixelcnn.data.own_images import ImageSetError, describe_image_set
from pixelcnn.storage import (
    CheckpointError,
    checkpoint_path,
    list_trained_checkpoints,
    load_checkpoint,
    read_info,
    runs_dir,
    safetensors_bytes,
    save_checkpoint,
)
from pixelcnn.training import state as states
from pixelcnn.training.runs import About, Run, RunConfig, RunError, Status, create_run, list_runs
from pixelcnn.training.state import (
    TrainingError,
    TrainingState,
    load_training_state,
    save_training_state,
)
from pixelcnn.ui.train import words

from .tiny import tiny_model
from .tiny_runs import config, info_of

HARD = int(os.environ.get("PIXELCNN_FIRE", 1))
fire = settings(
    max_examples=40 * HARD,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
odd = st.sampled_from(
    [10**400, -(10**400), 2**63, -1, 0, 1e308, float("inf"), float("nan"), True, None, "", "9",
     "x" * 9999, "\x00", "![x](http://outside/x.png)", "a__b__", "\u202e", "self", [], {}, [[]],
     {"self": 1}, {"format": "pixelcnn-run-1"}, [10**400], ["--init-from", 1],
     {"architecture": []}]
)  # fmt: skip
values = st.recursive(
    odd | st.integers() | st.floats() | st.text() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
texts = st.sampled_from(
    [b"", b"{", b"null", b"\xff\xfe", b'"\\ud800"', b"[" * 100_000, b'{"a":' * 100_000, b"1e400",
     b"9" * 5000, b"{}\n" * 1000, b'{"state": "evil"}']
)  # fmt: skip


def places(value, path=()):
    """Every place inside a JSON value, itself included."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def with_change(value, path, new):
    """The value, with another one at a place."""
    if not path:
        return new
    return value | {path[0]: with_change(value[path[0]], path[1:], new)}


@st.composite
def damaged(draw, good):
    """A JSON file, text or bytes, of which anything may be wrong."""
    if draw(st.integers(0, 5)) == 0:
        return draw(texts)
    path = draw(st.sampled_from(list(places(good))))
    changed = with_change(good, path, draw(values))
    if draw(st.booleans()) and isinstance(changed, dict):
        changed = changed | {draw(st.text() | st.sampled_from(["self", "cls"])): draw(values)}
    return json.dumps(changed).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of runs: a good one, one that is damaged again and again, checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELCNN_RUNS", str(tmp_path_factory.mktemp("fire") / "runs"))
        create_run(config(), name="good")
        run = create_run(config(), name="bad")
        run.describe(name="Bad")
        run.write_status(Status(state="stopped", pid=7))
        run.metrics_path.write_text('{"images_seen": 5, "seconds": 1.0, "loss": 2.0}\n')
        model = tiny_model(dtype=torch.float32, num_classes=2)
        save_checkpoint(run.checkpoint, model, info_of(model))
        yield runs_dir()


def look(run):
    """All that a page asks a run for."""
    try:
        assert isinstance(run.config(), RunConfig)
        words.settings(run.config())
    except RunError as error:
        assert str(error).startswith(f"{run.id}: its config.json") and len(str(error)) < 2000
    status, about = run.status(), run.about()
    assert isinstance(status, Status) and isinstance(about, About)
    words.progress_text(status, 100)
    words.score_text(status)
    for record in run.metrics():
        assert record["images_seen"] >= 0 and record["seconds"] >= 0
    words.log_tail(run)
    run.stages()


RUN_FILES = {
    "config.json": config().to_dict(),
    "status.json": json.loads(json.dumps(Status(state="stopped", pid=7).__dict__)),
    "about.json": About(name="Bad").to_dict(),
    "metrics.jsonl": {"images_seen": 5, "seconds": 1.0, "loss": 2.0, "validation": 3.0},
}


@pytest.mark.parametrize("name", RUN_FILES)
def test_any_content_of_any_file_of_a_run_is_a_value_or_its_own_error(folder, name):
    run = Run(folder / "bad")
    before = (run.path / name).read_bytes()

    @fire
    @given(damaged(RUN_FILES[name]))
    def attack(content):
        (run.path / name).write_bytes(content + b"\n")
        look(run)
        assert {r.id for r in list_runs()} == {"good", "bad"}
        words.unique_names(list_runs())

    attack()
    (run.path / name).write_bytes(before)


@pytest.mark.parametrize("name", [*RUN_FILES, "lock", "stop", "worker.log", "stages"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "circle", "nowhere", "device"])
def test_whatever_lies_in_place_of_a_file_is_told(folder, tmp_path, name, kind):
    run = create_run(config(), tmp_path / "odd")
    path = run.path / name
    path.unlink(missing_ok=True)
    put(path, kind)
    look(run)
    assert [r.id for r in list_runs(tmp_path)] == ["odd"]


def put(path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"circle": path.name, "nowhere": "absent", "device": "/dev/zero"}[kind])


@contextmanager
def as_nobody(path):
    """Root may enter everything; nobody may not."""
    for parent in path.parents[:-1]:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o055)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("kind", ["folder", "pipe", "circle", "nowhere", "device", "locked"])
def test_a_bad_entry_hides_no_other(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    good = create_run(config(), name="good")
    model = tiny_model(dtype=torch.float32)
    for path in (good.checkpoint, runs_dir() / "imported" / "fine.safetensors"):
        save_checkpoint(path, model, info_of(model))
    bad = runs_dir() / "bad"
    if kind == "locked":
        create_run(config(), bad)
        bad.chmod(0)
    else:
        put(bad, kind)
        put(runs_dir() / "imported" / "bad.safetensors", kind)
    with as_nobody(bad):
        found = {run.id: run for run in list_runs()}
        assert "good" in found
        assert ("bad" in found) == (kind in ("circle", "nowhere", "locked"))
        for run in found.values():
            look(run)
        names = set(list_trained_checkpoints())
        assert names >= {"run:good", "imported:fine"}
        for name in names - {"run:good", "imported:fine"}:
            with pytest.raises(CheckpointError, match="bad"):
                load_checkpoint(checkpoint_path(name))
    bad.chmod(0o700) if kind == "locked" else None


def test_a_folder_of_runs_that_may_not_be_entered_leaves_the_rest_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "locked" / "runs"))
    create_run(config(), name="good")
    (tmp_path / "locked").chmod(0)
    with as_nobody(tmp_path / "locked"):
        assert list_runs() == [] and list_trained_checkpoints() == {}
        for name in ("run:good", "imported:x", "x" * 5000, "a\0b"):
            with pytest.raises(CheckpointError, match="no such checkpoint"):
                checkpoint_path(name)
        assert read_info(checkpoint_path("fashion-mnist-gated")).images_seen > 0
    (tmp_path / "locked").chmod(0o700)


def safetensors(header, body=b""):
    """A file of a header, given as text, whatever it says."""
    return len(header).to_bytes(8, "little") + header + body


def test_any_metadata_of_a_checkpoint_is_a_value_or_its_own_error(folder, tmp_path):
    path = folder / "bad" / "checkpoint.safetensors"
    tensors, good = load_file(path), read_info(path).to_metadata()
    trial = tmp_path / "trial.safetensors"

    @fire
    @given(damaged(json.loads(good["pixelcnn"])))
    def attack(text):
        about = good | {"pixelcnn": text.decode(errors="replace")}
        trial.write_bytes(safetensors_bytes(tensors, about))
        for read in (read_info, load_checkpoint):
            try:
                read(trial)
            except CheckpointError as error:
                assert str(error).startswith(f"{trial}: ") and len(str(error)) < 2000

    attack()


def test_any_metadata_of_a_training_state_is_a_value_or_its_own_error(tmp_path):
    settings = config()
    state = TrainingState(settings.model, settings.train)
    good = {"model": settings.model.to_dict(), "train": settings.train.to_dict()}
    path = tmp_path / "training.state"
    save_training_state(path, state, settings.train)
    load_training_state(path)

    @fire
    @given(damaged(good))
    def attack(text):
        about = {"format": states.FORMAT, "config": text.decode(errors="replace")}
        path.write_bytes(safetensors_bytes(state.to_tensors(), about))
        try:
            load_training_state(path)
        except (CheckpointError, TrainingError) as error:
            assert len(str(error)) < 9000

    attack()


@fire
@given(st.data())
def test_any_damage_to_a_checkpoint_is_told(tmp_path_factory, data):
    model = tiny_model(dtype=torch.float32)
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    save_checkpoint(path, model, info_of(model))
    whole = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        last = data.draw(st.sampled_from([7, header - 1, len(whole) - 1]))
        whole[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole))) or None])
    for read in (read_info, load_checkpoint, describe_image_set):
        try:
            read(path)
        except (CheckpointError, ImageSetError) as error:
            assert "flipped.safetensors: " in str(error)


MEASURE = """
import ctypes, time
from pathlib import Path
import torch
from pixelcnn.data.picture_files import PictureError, read_picture
from pixelcnn.storage import CheckpointError
from pixelcnn.ui.train.transfer import keep
from tests.test_fire import CASES, tiny

torch.set_num_threads(1)
tiny()

def bytes_of(entry):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))

for name, make in CASES.items():
    content = make()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, started = bytes_of("VmRSS"), time.process_time()
    try:
        if name.startswith("picture"):
            read_picture(name, content, 28, 28, channels=3, whole="whole" in name)
        else:
            keep(name, content)
        answer = "taken"
    except (PictureError, CheckpointError) as error:
        answer = str(error).removeprefix(f"{name}: ")
    seconds = time.process_time() - started
    megabytes = (bytes_of("VmHWM") - before) / 1e6
    print(f"| {name} | {megabytes:.0f} | {seconds:.2f} | {answer} |", flush=True)
"""


def tiny():
    """Whatever is imported and set up at the first use belongs to the app at rest."""
    from pixelcnn.data.picture_files import read_picture
    from pixelcnn.ui.train.transfer import keep

    model = tiny_model(dtype=torch.float32)
    keep("tiny", safetensors_bytes(model.state_dict(), info_of(model).to_metadata()))
    for kind in (0, 6):
        read_picture("a", png(50, 40, kind), 28, 28)


def png(width, height, kind, depth=8):
    """A PNG of one value: kind 0 grey, 2 RGB, 6 RGBA."""
    row = b"\0" + b"\x55" * (-(-width * depth * {0: 1, 2: 3, 6: 4}[kind] // 8))
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))]
    chunks += [(b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def nested():
    """Metadata of 10 MB, lists within lists."""
    about = {"format": storage.FORMAT, "pixelcnn": "[" * 5_000_000 + "]" * 5_000_000}
    return save({"weight": torch.zeros(2)}, about)


def wide():
    """As many wrong values as the metadata may have."""
    text = json.dumps({str(number): "x" for number in range(15_000)})
    about = {"format": storage.FORMAT, "pixelcnn": f'{{"bits_per_dim": {text}}}'}
    return save({"weight": torch.zeros(2)}, about)


def many_tensors():
    """A header as long as it may be."""
    names = (
        f'"{number}":{{"dtype":"F16","shape":[0],"data_offsets":[0,0]}}'
        for number in range(66_000)
    )
    return safetensors(("{" + ",".join(names) + "}").encode())


def huge(size, **shape):
    """A checkpoint of some MB whose configuration claims a network, whatever its weights are."""
    model = tiny_model(dtype=torch.float32)
    values = json.loads(info_of(model).to_metadata()["pixelcnn"])
    values["config"] |= shape
    about = {"format": storage.FORMAT, "pixelcnn": json.dumps(values)}
    return save({"weight": torch.zeros(size, dtype=torch.float16)}, about)


def largest():
    """A network as large as an upload can be."""
    shape = {"num_features": 760, "head_features": 8, "kernel_size": 9, "dilations": (1,)}
    model = tiny_model("classic", dtype=torch.float16, first_kernel_size=3, **shape)
    about = info_of(model).to_metadata()
    return safetensors_bytes(model.state_dict(), about)


HUGE = {"num_features": 1024, "head_features": 1024, "kernel_size": 9, "first_kernel_size": 9}
CASES = {
    "metadata of 10 MB, nested": nested,
    "metadata of 15,000 wrong values": wide,
    "header of 66,000 tensors": many_tensors,
    "small file, huge network": lambda: huge(9, **HUGE, dilations=[1] * 64),
    "32 MB file, huge network": lambda: huge(16_000_000, **HUGE, dilations=[1] * 64),
    "32 MB file, classes": lambda: huge(16_000_000, num_classes=1000, num_features=1024),
    "network of 12 million weights": largest,
    "picture 50,000,000 x 1": lambda: png(50_000_000, 1, 0),
    "picture 220,000 x 223": lambda: png(220_000, 223, 0),
    "picture 20,000 x 1,200 RGBA": lambda: png(20_000, 1_200, 6),
    "picture 20,000 x 440 RGBA": lambda: png(20_000, 440, 6),
    "picture 20,000 x 440 RGBA, whole": lambda: png(20_000, 440, 6),
    "picture 6,000 x 4,000 RGBA, 16 bits": lambda: png(6_000, 4_000, 6, 16),
    "picture 6,000 x 4,000, 16 bits": lambda: png(6_000, 4_000, 0, 16),
}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured as Linux does")
def test_no_upload_takes_much_memory_or_time(tmp_path):
    environment = os.environ | {"PIXELCNN_RUNS": str(tmp_path)}
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(f"\n{done.stdout}")
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert [name for name, *_ in rows] == list(CASES)
    for name, megabytes, seconds, answer in rows:
        assert int(megabytes) < 300 and float(seconds) < 3, (name, answer)
