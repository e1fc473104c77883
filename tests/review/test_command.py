"""`wsi-run review` and `wsi-run audit verify` as a person starts them."""

import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from tests.review.cohort import SUSPICIOUS, client, decide, make_out
from tests.traps import environment
from wsi.cli import review
from wsi.cli.main import _run
from wsi.cli.review import listen


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


@contextmanager
def reviewing(out: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the link that the command printed, and its process; it is ended by Ctrl-C."""
    command = [sys.executable, "-m", "wsi.cli", "review", str(out), "--no-browser", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, env=environment(out.parent), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def get(link: str, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    host = re.sub(r"^http://([^/]+)/.*$", r"\1", link)
    connection = http.client.HTTPConnection(host.replace("localhost", "127.0.0.1"), timeout=20)
    connection.request("GET", path, headers={"host": host, **headers})
    answer = connection.getresponse()
    found = answer.status, answer.msg, answer.read()
    connection.close()
    return found


def test_link_opens_the_page_and_ctrl_c_ends_it(out: Path) -> None:
    with reviewing(out) as (link, process):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", link)
        assert get(link, "/api/run")[0] == 401
        status, headers, _ = get(link, link[link.index("/?") :])
        cookie = headers["set-cookie"].split(";")[0]
        assert (status, headers["location"]) == (303, "/")
        status, _, body = get(link, "/api/cases", cookie=cookie)
        assert status == 200
        assert len(json.loads(body)["cases"]) == 5
        assert get(link, "/", cookie=cookie)[0] == 200
    assert process.returncode == 128 + signal.SIGINT


def test_other_hosts_need_the_token_too_and_are_warned_of(out: Path) -> None:
    with reviewing(out, "--host", "0.0.0.0") as (link, process):
        assert link.startswith("http://127.0.0.1:")
        assert get(link, "/api/cases")[0] == 401
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert "--host 0.0.0.0: other machines can reach this page now" in process.stderr.read()


def started(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[list[str], list[str]]:
    """Return the links that the command prints and those that it gives to the browser; nothing is served."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: [one.close() for one in sockets])
    status, told, _ = run(capsys, monkeypatch, "review", str(out), "--port", "0", *arguments)
    assert status == 0
    return told.splitlines(), opened


def test_browser_gets_a_link_of_its_own_which_tells_nothing_of_the_printed_one(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (printed,), (opened,) = started(out, monkeypatch, capsys)
    assert printed.split("token=")[0] == opened.split("token=")[0]
    assert re.fullmatch(r"[\w-]{43}", opened.split("token=")[1])
    assert opened.split("token=")[1] not in printed


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_link_for_other_machines_is_printed_too(
    host: str, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(review, "addresses", lambda host: ["192.168.1.7", "2001:db8::7"])
    monkeypatch.setattr(review, "listen", lambda host, port: listen("127.0.0.1", port))
    printed, _ = started(out, monkeypatch, capsys, "--host", host, "--no-browser")
    names = [re.sub(r"^http://(.*):\d+/\?token=.*$", r"\1", link) for link in printed]
    assert names == ["127.0.0.1", "192.168.1.7", "[2001:db8::7]"]
    assert len({link.split("token=")[1] for link in printed}) == 1


def test_address_of_this_machine_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in review.addresses("::"):
        assert not ipaddress.ip_address(address).is_unspecified
    monkeypatch.setattr(socket.socket, "connect", lambda self, far: (_ for _ in ()).throw(OSError("no way out")))
    assert review.addresses("0.0.0.0") == []


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["wsi-run", *arguments])
    status = _run()
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["review", "nowhere"], "nowhere: no such folder; expected the OUT of a run"),
        (["review", "OUT", "--blind"], "--blind: whose own read is waited for? Give it with --reviewer NAME"),
        (["review", "OUT", "--blind", "--reviewer", "A", "--static", "x"], "a folder hides nothing"),
        (["review", "OUT", "--static", "x", "--model", "tumour"], "model 'tumour': no such name and no folder with a"),
        (["review", "OUT", "--beside", "nowhere"], "--beside nowhere: no such folder; expected the OUT of another run"),
        (["review", "OUT", "--beside", "."], "--beside .: it has no result of any slide of OUT"),
        (["review", "OUT", "--slides", "nowhere"], "--slides nowhere: no such folder"),
        (["review", "OUT", "--static", "x", "--slides", "OUT"], "--slides OUT: none of the slides of OUT lies there"),
        (["review", "OUT", "--host", "192.0.2.1", "--port", "80"], "can't be listened on"),
        (["review", "OUT", "--host", "192.0.2.1"], "--host 192.0.2.1: can't be listened on"),
        (["review", "OUT", "--host", "192.0.2.1"], "give an address of this machine"),
        (["review", "OUT", "--static", "OUT"], "--static OUT: is there already"),
        (["audit", "verify", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_wrong_usage_is_told_with_the_next_step(
    arguments: list[str],
    told: str,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(out.parent)
    status, _, error = run(capsys, monkeypatch, *arguments)
    assert (status, told in error) == (2, True), error


def test_blind_review_of_a_folder_that_takes_no_own_read_is_refused(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    monkeypatch.setattr(review, "serve", lambda *_: 0)
    status, _, error = run(capsys, monkeypatch, "review", str(out), "--blind", "--reviewer", "A. Miller")
    assert (status, "can't be written to, so no own read would be kept" in error) == (2, True), error


def test_usual_port_gives_way_to_a_free_one() -> None:
    first = listen("127.0.0.1", None)
    second = listen("127.0.0.1", None)
    assert first.getsockname()[1] != second.getsockname()[1]
    first.close()
    second.close()


def test_answers_leave_without_delay() -> None:
    listening = listen("127.0.0.1", 0)
    assert listening.proto == socket.IPPROTO_TCP, "else asyncio leaves Nagle's delay on, of 40 ms an answer"
    listening.close()


def test_audit_says_all_is_well_or_names_the_line(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, monkeypatch, "audit", "verify", str(out))[:2] == (0, "0 decisions, all as written\n")
    browser = client(out)
    for _ in range(3):
        decide(browser, SUSPICIOUS)
    status, told, _ = run(capsys, monkeypatch, "audit", "verify", str(out))
    found = re.fullmatch(r"3 decisions, all as written; head ([0-9a-f]{64})\n", told)
    assert status == 0
    assert found is not None
    assert run(capsys, monkeypatch, "audit", "verify", str(out), "--head", found[1])[0] == 0
    assert run(capsys, monkeypatch, "audit", "verify", str(out), "--head", "0" * 64)[0] == 3
    log = out / "review" / "decisions.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"agree"', b'"unsure"', 1))
    status, told, _ = run(capsys, monkeypatch, "audit", "verify", str(out))
    assert (status, told.startswith("line 1: edited")) == (3, True)


def test_static_folder_is_written_without_a_server(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--static", str(tmp_path / "page"), "--reviewer", " A. Miller")
    status, told, _ = run(capsys, monkeypatch, "review", str(out), *options)
    assert (status, "index.html: 5 slides, 0 tiles" in told) == (0, True)
    assert '"reviewer":"A. Miller"' in (tmp_path / "page" / "data" / "index.js").read_text()
    assert (tmp_path / "page" / "data" / SUSPICIOUS / "case.js").is_file()


def test_review_is_none_of_a_runs_files(out: Path) -> None:
    from wsi.engine.finish import SUMS, render_sums
    from wsi.engine.verify import verify_out

    (out / SUMS).write_bytes(render_sums(out, []))
    decide(client(out), SUSPICIOUS)
    assert verify_out(out)[1] == []
