"""`wsi-run finetune`: an encoder that knows one's own tiles."""

from pathlib import Path
from typing import Any

import click

from wsi.cli.options import FILE, with_options

_OPTIONS = [
    click.argument("tiles", type=FILE),
    click.option("--pictures", type=FILE, metavar="FOLDER", help="Pictures that the CSV names: make a whole model of them, as -c says."),
    click.option("--encoder", metavar="NAME", help="Encoder to start from: a name, folder or timm:NAME."),
    click.option("--weights", type=FILE, metavar="FILE", help="A local .safetensors file for it."),
    click.option("-o", "--out", type=FILE, metavar="FOLDER", help="Encoder's folder to write; without it only figures are shown."),
    click.option("--run", "run_folder", type=FILE, metavar="RUN", help="Folder of the checkpoint; runs/NAME by default. Run again to go on."),
    click.option("-c", "--config", type=FILE, help="Settings file with any of: seed, train, blocks, epochs, patience, batch, learning_rate, layer_decay, weight_decay, stain, turns, validation, test, precision, device, threads."),
    click.option("--classes", metavar="A,B", help="Keep these classes only, the negative one first."),
    click.option("--train", help="last: the last blocks; all: the whole network. A linear probe is always shown beside."),
    click.option("--blocks", type=int, help="How many, for last."),
    click.option("--epochs", type=int, help="Most passes over the training tiles."),
    click.option("--batch", type=int, help="Tiles a step, over all processes."),
    click.option("--learning-rate", type=float, help="Of the classifier; the blocks below it get less and less."),
    click.option("--stain", type=float, help="How far the stains' colors are jittered; 0 leaves them."),
    click.option("--seed", type=int, help="All of chance comes from it."),
    click.option("--device", help="auto, cpu, cuda, cuda:1."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), help="What the network computes in."),
    click.option("--threads", type=int, help="CPU threads; other numbers give other last bits."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
]  # fmt: skip


@click.command("finetune")
@with_options(_OPTIONS)
def command(**given: Any) -> int:
    """Fine-tune an encoder on labeled tiles: a CSV with the columns file, label, group, or a folder with a folder a class.

    \b
      wsi-run finetune tiles.csv --encoder mobilenetv2-imagenet -o encoders/mine
      wsi-run finetune TILES --encoder timm:resnet50 --weights resnet50.safetensors --train all -o encoders/mine
      torchrun --nproc-per-node 4 -m wsi.cli finetune tiles.csv --encoder uni -o encoders/mine     (several GPUs)
      wsi-run encode SLIDES -o FEATURES --encoder encoders/mine

    Tiles of one group (a patient, a slide) are never both trained on and tested.

    With --pictures it makes a model of whole pictures, its own encoder in it, tested by cross-validation:

    \b
      wsi-run finetune labels.csv --pictures PICTURES -c settings.yaml -o models/mine
    """
    from wsi.cli.picture_training import run_picture_training
    from wsi.cli.tuning import run_tuning

    name: str = given["out"].name if given["out"] is not None else given["tiles"].stem
    work = run_tuning if given["pictures"] is None else run_picture_training
    return work(given, given["run_folder"] or Path("runs", name))
