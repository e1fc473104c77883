"""`wsi-run models`: what can be run here, under which terms, and how to get the rest."""

import json
from pathlib import Path
from typing import Any

import click


@click.group("models")
def command() -> None:
    """List, check and fetch models and encoders. Nothing but `fetch` ever uses the network.

    \b
      wsi-run models list
      wsi-run models check uni2-h
      wsi-run models fetch phikon
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_models(as_json: bool) -> None:
    """List models with what they read, and encoders with their licence and what is missing to run them.

    \b
      wsi-run models list
      wsi-run models list --json
    """
    from wsi.encode import entries, plugin_names
    from wsi.model_folder import CARD, any_card
    from wsi.resources import shipped

    rows: list[dict[str, Any]] = []
    for path in sorted(shipped("models").glob(f"*/{CARD}")):
        card = any_card(path.parent)
        terms = card.licence.weights
        status = f"asks --accept-licence {terms}" if card.licence.consent else "ready"
        rows.append(
            {
                "kind": "model",
                "name": card.id,
                "licence": terms,
                "status": status,
                "reads": card.input.told,
                "title": card.title,
            }
        )
    for entry in entries():
        about = entry.card
        rows.append(
            {
                "kind": "encoder",
                "name": about.id,
                "licence": about.licence.weights,
                "status": entry.status,
                "reads": f"{about.input.tile_px} px at {about.input.mpp:g} µm/px",
                "title": about.title,
            }
        )
    plain = {"kind": "encoder", "licence": "", "status": "plug-in", "reads": "", "title": ""}
    rows += [{**plain, "name": name} for name in plugin_names()]
    columns = ("kind", "name", "status", "licence", "reads", "title")
    width = {column: max(len(row[column]) for row in rows) for column in columns}
    for row in rows:
        text = "  ".join(f"{row[column]:{width[column]}}" for column in columns)
        click.echo(json.dumps(row) if as_json else text.rstrip())


@command.command("check")
@click.argument("name")
def check_model(name: str) -> int:
    """Say whether NAME can run here: weights and their hash, gate, token, licence, input.

    \b
      wsi-run models check tumor
      wsi-run models check uni2-h

    Exit status: 0 ready, 3 something is missing.
    """
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.encode import check

    if _kind_of(name) == "model":
        return _check_head(name)
    entry, weights = check(name)
    card = entry.card
    click.echo(f"{card.id}: {card.title}")
    click.echo(f"  licence   {card.licence.weights}{' (gated)' if card.licence.gated else ''}")
    click.echo(f"  input     {card.input.tile_px} px at {card.input.mpp:g} µm/px, features of {card.dim}")
    click.echo(f"  weights   {f'{weights.path} sha256 {weights.sha256[:12]}' if weights else entry.status}")
    if entry.missing:
        click.echo(f"  next step {entry.missing}")
    return 0 if entry.ready else EXIT_NOT_OK


def _kind_of(name: str) -> str:
    """Return "model" or "encoder": what the card of a folder says, or where the catalog has the name.

    Raises:
        ModelError: it is neither; the message offers the near names of both.
    """
    from pydantic import BaseModel

    from wsi.config import read_yaml
    from wsi.errors import ModelError, did_you_mean
    from wsi.model_folder import CARD, ENCODERS
    from wsi.resources import shipped

    class Kind(BaseModel):
        kind: str = ""

    if Path(name, CARD).is_file():
        return read_yaml(Path(name, CARD), Kind).kind
    shelves = {"model": shipped("models"), "encoder": shipped("models") / ENCODERS}
    names = {path.parent.name: kind for kind, shelf in shelves.items() for path in shelf.glob(f"*/{CARD}")}
    if name in names:
        return names[name]
    hint = did_you_mean(name, names) or " `wsi-run models list` shows those there are."
    raise ModelError(f"{name!r}: no model or encoder of this name, and no folder with a {CARD}.{hint}")


def _check_head(name: str) -> int:
    from wsi.card import MaskCard
    from wsi.model_folder import any_card, find_folder, folder_digest

    folder = find_folder(name, "model")
    card = any_card(folder)
    if isinstance(card, MaskCard):
        from wsi.predict.mask_model import load_mask_model

        load_mask_model(folder)
        gives = f"marks {', '.join(one.name for one in card.structures)}"
    else:
        from wsi.predict.model import load_model

        load_model(folder)
        gives = f"encoder {card.encoder.name}"
    click.echo(f"{card.id} {card.version}: {card.title}")
    click.echo(f"  licence   {card.licence.weights}; {card.use.status}")
    click.echo(f"  input     {card.input.told}; {gives}")
    click.echo(f"  hash      {folder_digest(folder)}")
    click.echo("  selftest  reproduced on this machine")
    click.echo("  measured")
    for one in card.evaluation:
        interval = f"({one.low:.3f} to {one.high:.3f})" if one.low is not None and one.high is not None else ""
        click.echo(f"    {one.value:.3f} {interval:16}  {one.metric}: {one.name}")
    return 0


@command.command("fetch")
@click.argument("name")
@click.option("--token", envvar="HF_TOKEN", help="For gated encoders; HF_TOKEN is read too.")
def fetch_model(name: str, token: str | None) -> None:
    """Download an encoder's weights: the only command that uses the network.

    \b
      wsi-run models fetch phikon
      HF_TOKEN=... wsi-run models fetch uni2-h
    """
    from wsi.encode.fetch import fetch

    click.echo(f"fetched to {fetch(name, token=token)}")
