"""Fine-tuning of a tiny network: what is trained, what is seen, and what it leaves behind."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.encode import tiny
from tests.traps import CHECKOUT
from wsi.card import EncoderCard
from wsi.encode.load import load_encoder, load_network
from wsi.errors import ArtifactError, LabelsError, UsageError
from wsi.model_folder import encoder_card
from wsi.publish import sha256_file
from wsi.train.augment import Jitter, stained, view
from wsi.train.finetune import TuneConfig, Tuning, make_tuned, parameter_groups
from wsi.train.tasks import Task, fitted
from wsi.train.tiles import TileSet, read_tiles, split_tiles
from wsi.train.tune import TUNED, tune

TWO = Task("binary", ("dots", "lines"))
QUICK = TuneConfig(epochs=3, patience=0, batch=8, learning_rate=3e-3, train="all", layer_decay=0.9, weight_decay=0.0)


def write_base(folder: Path) -> Path:
    """Write an encoder's folder with a tiny ViT of random weights."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    path = tiny.save(tiny.with_random_weights(tiny.tiny_vit()), folder / "w.safetensors")
    card = tiny.card(weights={"file": path.name, "sha256": sha256_file(path)})
    (folder / "model.yaml").write_text(yaml.safe_dump(card.model_dump(mode="json", exclude_none=True)))
    return folder


def write_tiles(folder: Path, groups: int = 8, each: int = 2) -> Path:
    """Write tiles of dots and of lines with a CSV."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in range(groups * each * 2):
        label = n % 2
        tile = np.full((tiny.SIDE, tiny.SIDE, 3), 230, np.uint8)
        at = rng.integers(0, tiny.SIDE, (12, 2))
        if label:
            tile[:, at[:6, 0]] = (120, 60, 140)
        else:
            tile[at[:, 0], at[:, 1]] = (120, 60, 140)
        Image.fromarray(tile).save(folder / f"{n:03d}.png")
        rows.append([f"{n:03d}.png", TWO.classes[label], f"g{n // 2 // each}-{label}"])
    with (folder / "tiles.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "label", "group"], *rows])
    return folder / "tiles.csv"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("encoders") / "base")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    return read_tiles(write_tiles(tmp_path_factory.mktemp("tiles")))


def tuning_of(base: Path, tiles: TileSet, config: TuneConfig = QUICK) -> Tuning:
    card, network, _, _ = load_network(str(base), None)
    return Tuning(make_tuned(card, network, TWO, seed=config.seed), card, tiles, TWO, config)


def test_groups_stay_on_one_side_and_every_part_has_every_class(tiles: TileSet) -> None:
    parts = split_tiles(tiles, seed=3, shares=(0.2, 0.25))
    assert sorted(i for part in parts for i in part) == list(range(len(tiles.tiles)))
    groups = [{tiles.tiles[i].group for i in part} for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert all({tiles.tiles[i].label for i in part} == {0, 1} for part in parts)
    assert split_tiles(tiles, seed=3, shares=(0.2, 0.25)) == parts != split_tiles(tiles, seed=4, shares=(0.2, 0.25))


def test_folders_of_classes_are_read_like_a_table(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        for n in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{n}.png")
    found = read_tiles(tmp_path)
    assert found.classes == ("a", "b")
    assert [tile.label for tile in found.tiles] == [0, 0, 1, 1]
    assert not found.grouped
    assert read_tiles(tmp_path, classes=("b", "a")).tiles[0].label == 1
    with pytest.raises(LabelsError, match="no tile of c"):
        read_tiles(tmp_path, classes=("a", "c"))
    with pytest.raises(LabelsError, match="too few for three parts"):
        split_tiles(TileSet(found.tiles[:3], ("a", "b"), True), seed=0, shares=(0.2, 0.2))


def test_hidden_files_and_folders_are_no_tiles(tmp_path: Path) -> None:
    for name in ("a/0.png", "b/0.png", ".trash/0.png", "b/.ipynb_checkpoints/0.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "a" / "._0.png").write_bytes(b"\0\5\x16\7")  # what macOS lays beside a file
    found = read_tiles(tmp_path)
    assert found.classes == ("a", "b")
    assert [tile.path.relative_to(tmp_path).as_posix() for tile in found.tiles] == ["a/0.png", "b/0.png"]


def test_missing_files_are_named_together(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,label\na.png,x\nb.png,y\n")
    with pytest.raises(LabelsError, match=r"(?s)a\.png.*b\.png"):
        read_tiles(tmp_path / "t.csv")


def test_tile_of_two_lines_or_of_no_group_is_refused(tmp_path: Path) -> None:
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("file,label,patient\na.png,x,p1\nb.png,y,p2\n./a.png,y,p3\nc.png,x,\n")
    with pytest.raises(LabelsError, match=r"(?s)line 4: \./a\.png stands on line 2.*line 5: column 'patient' is empty"):
        read_tiles(tmp_path / "t.csv")


def test_factors_of_one_leave_a_tile_and_others_change_only_their_stain() -> None:
    tile = tiny.tiles(1)[0]
    same = stained(tile, np.ones(3), np.zeros(3))
    assert np.abs(same.astype(int) - tile).max() <= 1
    pure = np.rint(256 * np.exp(-np.array([0.650, 0.704, 0.286]) * 0.8) - 1).astype(np.uint8)[None, None]
    doubled = stained(pure, np.array([2.0, 1, 1]), np.zeros(3))[0, 0]
    expected = 256 * np.exp(-np.array([0.650, 0.704, 0.286]) * 1.6) - 1
    assert np.abs(doubled - expected).max() < 2
    assert np.abs(stained(pure, np.array([1.0, 2, 1]), np.zeros(3)).astype(int) - pure).max() <= 2


def test_views_are_drawn_from_the_generator_alone() -> None:
    tile = tiny.tiles(1)[0]
    one, other, third = (view(tile, np.random.default_rng(seed), Jitter()) for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)
    plain = view(tile, np.random.default_rng(1), Jitter(0.0, 0.0, turns=False))
    assert np.abs(plain.astype(int) - tile).max() <= 1


def test_lower_blocks_get_smaller_rates_and_frozen_ones_none(base: Path, tiles: TileSet) -> None:
    model = tuning_of(base, tiles).model
    shares = [float(str(group["share"])) for group in parameter_groups(model, QUICK)]
    assert max(shares) == 1.0
    assert len(set(shares)) > 3
    parameter_groups(model, QUICK.model_copy(update={"train": "last", "blocks": 1}))
    network = model.encoder.network
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert "norm.weight" in trained
    assert any(name.startswith("blocks.1.") for name in trained)
    assert not any(name.startswith(("blocks.0.", "patch_embed")) for name in trained)


def test_fine_tuning_learns_and_a_rerun_gives_the_same_bytes(base: Path, tiles: TileSet, tmp_path: Path) -> None:
    done = [tune(tiles, str(base), QUICK, tmp_path / name, out=tmp_path / name / "mine") for name in ("a", "b")]
    assert done[0] == done[1]
    losses = [epoch.train_loss for epoch in done[0].epochs]
    assert losses[-1] < losses[0]
    assert done[0].lines[0].over == TUNED
    for name in ("weights.safetensors", "model.yaml", "README.md"):
        assert (tmp_path / "a" / "mine" / name).read_bytes() == (tmp_path / "b" / "mine" / name).read_bytes()


def test_stopped_fine_tuning_goes_on_to_the_same_weights(base: Path, tiles: TileSet, tmp_path: Path) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    whole, cut = tuning_of(base, tiles), tuning_of(base, tiles)
    whole.run(range(16), range(16, 24), tmp_path / "whole", key="k")
    with pytest.raises(KeyboardInterrupt):
        cut.run(range(16), range(16, 24), tmp_path / "cut", key="k", watch=stop)
    again = tuning_of(base, tiles)
    again.run(range(16), range(16, 24), tmp_path / "cut", key="k")
    for one, two in zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_exported_folder_is_an_encoder_that_embeds_as_the_tuned_one(base: Path, tiles: TileSet, tmp_path: Path) -> None:
    tune(tiles, str(base), QUICK.model_copy(update={"epochs": 1}), tmp_path, out=tmp_path / "mine")
    encoder = load_encoder(str(tmp_path / "mine"), device="cpu", threads=1, precision="fp32")
    before = load_encoder(str(base), device="cpu", threads=1, precision="fp32")
    pixels = np.stack([tiles.pixels(i, tiny.SIDE) for i in range(4)])
    assert encoder.identity.id == "mine"
    assert not np.allclose(encoder.encode(pixels), before.encode(pixels), atol=1e-3)
    tuned = tuning_of(base, tiles, QUICK.model_copy(update={"epochs": 1}))
    train, validation, _ = split_tiles(tiles, seed=0, shares=(QUICK.validation, QUICK.test))
    labels = np.array([[float(tile.label)] for tile in tiles.tiles])
    tuned.task = fitted(TWO, labels[train], balanced=True)
    tuned.run(train, validation, tmp_path / "again", key="k")
    np.testing.assert_allclose(encoder.encode(pixels), tuned.embeddings(range(4)), atol=1e-4)
    assert "Research use only" in (tmp_path / "mine" / "README.md").read_text()


def test_network_without_blocks_is_refused(base: Path, tiles: TileSet) -> None:
    model = tuning_of(base, tiles).model
    model.encoder.network = torch.nn.Linear(2, 2)
    with pytest.raises(UsageError, match="doesn't tell the blocks"):
        parameter_groups(model, QUICK)


@pytest.mark.slow
def test_two_processes_take_the_same_steps_as_one(base: Path, tmp_path: Path) -> None:
    table, out = write_tiles(tmp_path / "tiles"), {world: tmp_path / world for world in ("1", "2")}
    config = TuneConfig(epochs=2, batch=8, learning_rate=1e-3, train="all", patience=0, precision="fp32", device="cpu")
    tune(read_tiles(table), str(base), config, out["1"], out=out["1"] / "mine")
    code = (
        "import sys; from pathlib import Path; from wsi.train.tiles import read_tiles; from wsi.train.tune import tune; "
        "from wsi.train.finetune import TuneConfig; config = TuneConfig.model_validate_json(sys.argv[4]); "
        "tune(read_tiles(Path(sys.argv[1])), sys.argv[2], config, Path(sys.argv[3]), out=Path(sys.argv[3], 'mine'))"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, table, base, out["2"], config.model_dump_json()],
            env={**os.environ, **told, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=CHECKOUT,
        )
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    encoders = [load_encoder(str(made / "mine"), device="cpu", threads=1, precision="fp32") for made in out.values()]
    one, two = (encoder.encode(tiny.tiles(4)) for encoder in encoders)
    np.testing.assert_allclose(one, two, atol=2e-3)


def test_card_of_the_base_keeps_its_terms(base: Path, tiles: TileSet, tmp_path: Path) -> None:
    tune(tiles, str(base), QUICK.model_copy(update={"epochs": 1}), tmp_path, out=tmp_path / "mine")
    card = encoder_card(tmp_path / "mine")
    assert isinstance(card, EncoderCard)
    assert card.licence.weights == "CC0-1.0"
    assert "Made from the weights of tiny" in str(card.licence.note)


def test_checkpoint_is_not_gone_on_from_when_the_encoder_reads_otherwise(tiles: TileSet, tmp_path: Path) -> None:
    base, config = write_base(tmp_path / "base"), QUICK.model_copy(update={"epochs": 1})
    tune(tiles, str(base), config, tmp_path / "run", out=None)
    told = yaml.safe_load((base / "model.yaml").read_text())
    told["transform"]["mean"] = [0.1, 0.2, 0.3]
    (base / "model.yaml").write_text(yaml.safe_dump(told))
    with pytest.raises(ArtifactError, match="made from other data, splits or settings"):
        tune(tiles, str(base), config, tmp_path / "run", out=None)
