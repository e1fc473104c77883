"""Hostile requests over a real socket: each gets a fitting 4xx, and no answer holds a path of this machine."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.review.cohort import BENIGN, SUSPICIOUS, TOKEN, DrawnTiles, client, decide, drawn, make_out, open_folder
from tests.review.serving import Answer, Served, served
from wsi.review import TileKey, guard, make_app, protocol
from wsi.review.guard import Door
from wsi.review.refusal import without_paths

CASE = f"/api/cases/{SUSPICIOUS}"
UP = ("..", "%2e%2e", "%2E%2e", ".%2e", "%252e%252e", "..%2f..", "..%5c..", "..\\..", "%c0%ae%c0%ae", "..%00", "....//", "%e2%80%a5")  # fmt: skip
"""A dozen ways to say the folder above."""
DEEP = b"[" * 200_000 + b"]" * 200_000
POINTS = [(float(i % 1000), 1.0) for i in range(250_000)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_out(tmp_path_factory.mktemp("review") / "OUT")


@pytest.fixture(scope="module")
def server(out: Path) -> Iterator[Served]:
    with served(out) as running:
        yield running


def refused(answer: Answer, out: Path, *statuses: int) -> None:
    """Hold that the answer is one of these refusals, in its form, and tells nothing of this machine."""
    assert answer.status in statuses, (answer.status, answer.body[:300])
    for private in (str(out.parent), str(Path(__file__).parents[2]), "/usr/", "Traceback", ".py"):
        assert private.encode() not in answer.head + answer.body
    if answer.body and b"application/json" in answer.head:
        assert set(json.loads(answer.body)["error"]) == {"code", "message", "next"}


def decision(**told: object) -> bytes:
    return json.dumps({"who": "A. Miller", "stage": "final", **told}).encode()


@pytest.mark.parametrize("up", UP)
@pytest.mark.parametrize(
    "target", ["/page/{}/app.py", "/api/cases/{}/thumbnail", "/api/cases/{}%2fresults.jsonl", CASE + "/heat/{}"]
)
def test_way_out_of_the_folder_is_closed(target: str, up: str, server: Served, out: Path) -> None:
    refused(server.ask(target.format(up)), out, 400, 404)


@pytest.mark.parametrize("name", ["app.py", "guard.py", "__init__.py", "index.html.", "Index.html", "index.html%20", "%69ndex%2ehtm", "con", ""])  # fmt: skip
def test_only_files_of_the_page_are_served(name: str, server: Served, out: Path) -> None:
    refused(server.ask(f"/page/{name}"), out, 400, 404)


@pytest.mark.parametrize("name", ["label.jpg", "macro.jpg", "label", "macro", "associated/label", "heatmap.png", "result.json", "scores.h5", "thumbnail.jpg", "top_tiles.jpg"])  # fmt: skip
def test_label_macro_and_files_of_the_slide_are_out_of_reach(name: str, server: Served, out: Path) -> None:
    refused(server.ask(f"{CASE}/{name}"), out, 404)
    refused(server.ask(f"{CASE}/{name}/0/0/0"), out, 404)
    refused(server.ask(f"{CASE}/tiles/{name}/0/0"), out, 404, 422)


@pytest.mark.parametrize("name", ["/report.html", "/predictions.csv", "/results.jsonl", "/qupath/project.qpproj", "/review/decisions.jsonl", "/slides/x/result.json", "/docs", "/openapi.json", "/favicon.ico"])  # fmt: skip
def test_files_of_out_are_no_addresses(name: str, server: Served, out: Path) -> None:
    refused(server.ask(name), out, 404)


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 403), ("127.0.0.1.evil.example:{port}", 403), ("localhost:1", 403), ("127.0.0.1", 403), ("", 400), ("127.0.0.1:{port}@evil", 403), ("[::1]:{port}x", 403), ("10.0.0.1:{port}", 403)],
)  # fmt: skip
def test_foreign_host_is_refused(host: str, status: int, server: Served, out: Path) -> None:
    refused(server.ask("/api/run", host=host.format(port=server.port)), out, status)


def test_two_hosts_are_refused(server: Served, out: Path) -> None:
    raw = f"GET /api/run HTTP/1.1\r\nhost: {server.host}\r\nhost: evil.example\r\ncookie: {server.cookie}\r\nconnection: close\r\n\r\n"
    refused(server.send(raw.encode()), out, 400)


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "127.0.0.1:{port}"])
def test_own_names_are_known(host: str, server: Served) -> None:
    assert server.ask("/api/run", host=host.format(port=server.port)).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://{host}", "http://localhost:1", "file://", "http://{host}.evil.example"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_foreign_origin_is_refused(method: str, origin: str, server: Served, out: Path) -> None:
    target = f"{CASE}/decisions"
    refused(server.ask(target, method, body=decision(), origin=origin.format(host=server.host)), out, 400, 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_request_that_another_site_started_is_refused(site: str, server: Served, out: Path) -> None:
    refused(server.ask("/api/cases", sec_fetch_site=site), out, 403)


@pytest.mark.parametrize(
    ("cookie", "status"),
    [("-=-", 401), ("other=1", 401), ("wsi_review_{port}=", 403), ("wsi_review_{port}=0", 403), ("wsi_review_{port}=" + TOKEN, 403), ("wsi_review_1=" + TOKEN, 401), ("{good}; wsi_review_{port}=x", 403)],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/", "/api/run", "/api/cases", CASE, f"{CASE}/tiles/0/0/0", "/page/index.html"])
def test_without_the_links_cookie_nothing_opens(
    target: str, cookie: str, status: int, server: Served, out: Path
) -> None:
    given = cookie.format(port=server.port, good=server.cookie)
    refused(server.ask(target, cookie=given), out, status)


@pytest.mark.parametrize("query", ["token=", "token=wrong", f"token={TOKEN}x", f"token={TOKEN}&token={TOKEN}", f"a=1&b=2&c=3&d=4&e=5&token={TOKEN}", f"xtoken={TOKEN}", "token=%ff"])  # fmt: skip
def test_wrong_token_opens_nothing(query: str, server: Served, out: Path) -> None:
    answer = server.ask(f"/?{query}", cookie="-=-")
    refused(answer, out, 400, 403)
    assert b"set-cookie" not in answer.head.lower()


def test_token_opens_at_the_door_only(server: Served, out: Path) -> None:
    refused(server.ask(f"/api/run?token={TOKEN}", cookie="-=-"), out, 401)
    refused(server.ask("/api/run", cookie="-=-", authorization=f"Bearer {TOKEN}"), out, 401)


def test_cookie_of_the_link_is_for_this_page_alone(server: Served) -> None:
    head = server.ask(f"/?token={TOKEN}", cookie="-=-").head.decode().lower()
    line = next(line for line in head.split("\r\n") if line.startswith("set-cookie"))
    assert all(word in line for word in ("httponly", "samesite=strict", "path=/"))
    assert TOKEN not in line
    assert "domain" not in line


@pytest.mark.parametrize("place", ["0/9999999/0", "0/0/9999999", "99/0/0", "-1/0/0", "0/-1/0", "0/0/-1", "1.0/0/0", "nan/0/0", "0/inf/0", "1e9/0/0", "0/0/99999999999999999999", "٣/0/0", "0x1/0/0", "+1/0/0", "%20/0/0", "0/0/2147483648"])  # fmt: skip
def test_absurd_tile_is_refused(place: str, server: Served, out: Path) -> None:
    refused(server.ask(f"{CASE}/tiles/{quote(place, safe='/%+')}"), out, 400, 404, 422)


@pytest.mark.parametrize(
    "query",
    ["", "x=1&y=1&width=9&height=9", "x=1&y=1&width=9&height=9&px=513", "x=1&y=1&width=9&height=9&px=0", "x=1&y=1&width=0&height=9&px=9",
     "x=-1&y=1&width=9&height=9&px=9", "x=nan&y=1&width=9&height=9&px=9", "x=1&y=inf&width=9&height=9&px=9", "x=20000&y=1&width=9&height=9&px=9",
     "x=1&y=1&width=20001&height=9&px=9", "x=1&y=1&width=9&height=1e4&px=9", "x=1&y=1&width=99999999999&height=9&px=9"],
)  # fmt: skip
def test_absurd_piece_is_refused(query: str, server: Served, out: Path) -> None:
    refused(server.ask(f"{CASE}/crop?{query}"), out, 422)


@pytest.mark.parametrize("slide", ["nobody-00000000", SUSPICIOUS.upper(), SUSPICIOUS + "%20", "%00", "a" * 500, "<script>", "{slide}", "slides", "*"])  # fmt: skip
def test_unknown_slide_is_refused(slide: str, server: Served, out: Path) -> None:
    for end in ("", "/thumbnail", "/tiles/0/0/0", "/crop?x=1&y=1&width=9&height=9&px=9", "/heat/score", "/outlines", "/decisions"):  # fmt: skip
        refused(server.ask(f"/api/cases/{slide}{end}"), out, 400, 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(method: str, server: Served, out: Path) -> None:
    refused(server.ask("/api/cases", method), out, 400, 405)


@pytest.mark.parametrize("target", ["/", "/api/run", "/api/cases", CASE, f"{CASE}/heat/score"])
def test_nothing_but_decisions_is_posted(target: str, server: Served, out: Path) -> None:
    refused(server.ask(target, "POST", body=decision()), out, 404, 405)


def test_head_gives_the_headers_alone(server: Served) -> None:
    answer = server.ask("/api/run", "HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"content_type": "text/plain"}, 415), ({"content_type": "application/x-www-form-urlencoded"}, 415), ({"content_type": None}, 400), ({"x_wsi": None}, 403),
     ({"x_wsi": "2"}, 403), ({"origin": None}, 403), ({"content_length": None, "transfer_encoding": "chunked"}, 411), ({"content_length": "99999999"}, 413),
     ({"content_length": "-1"}, 400), ({"content_encoding": "gzip"}, 415), ({"sec_fetch_site": "cross-site"}, 403)],
)  # fmt: skip
def test_post_that_the_page_does_not_send_is_refused(
    headers: dict[str, str | None], status: int, server: Served, out: Path
) -> None:
    refused(server.ask(f"{CASE}/decisions", "POST", body=decision(), **headers), out, status)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (DEEP, 400), (b'{"who":NaN}', 400), (b'{"a":' + b"9" * 5000 + b"}", 400), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"{}", 422),
     (b'{"a":' * 3000 + b"1" + b"}" * 3000, 400), (decision(shapes=drawn([(float("nan"), 1), (2, 2), (3, 1)])), 400), (decision(shapes=drawn([(1, 1), (float("inf"), 2), (3, 1)])), 400),
     (decision(shapes=drawn([(1, 1), (2, 2), (3, 1)])).replace(b"2", b"1e999"), 422), (decision(shapes=drawn(POINTS)), 422), (decision(shapes={"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": ["Polygon"], "coordinates": 1}}]}), 422)],
)  # fmt: skip
def test_body_that_is_no_decision_is_refused(body: bytes, status: int, server: Served, out: Path) -> None:
    refused(server.ask(f"{CASE}/decisions", "POST", body=body), out, status)
    assert not (out / "review" / "decisions.jsonl").exists()


def test_body_of_a_million_points_is_not_read(server: Served, out: Path) -> None:
    body = decision(shapes=drawn(POINTS * 4))
    assert len(body) > guard.MAX_BODY_BYTES
    refused(server.ask(f"{CASE}/decisions", "POST", body=body), out, 413)


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000 + b"\r\n\r\n"])  # fmt: skip
def test_what_is_no_request_gets_no_more_than_a_4xx(raw: bytes, server: Served, out: Path) -> None:
    refused(server.send(raw), out, 400, 403, 431)


def test_address_without_end_is_refused(server: Served, out: Path) -> None:
    refused(server.ask("/api/cases?" + "a" * 5000), out, 414)


def test_get_with_a_body_is_refused(server: Served, out: Path) -> None:
    refused(server.ask("/api/run", body=b"x", content_length="1"), out, 400)


def test_websocket_is_refused(server: Served, out: Path) -> None:
    answer = server.ask("/api/run", connection="Upgrade", upgrade="websocket", sec_websocket_key="AAAAAAAAAAAAAAAAAAAAAA==", sec_websocket_version="13")  # fmt: skip
    assert answer.status in (200, 400, 403, 404, 426)
    assert b"101 " not in answer.head[:16]


def test_every_answer_carries_the_headers(server: Served) -> None:
    for target in ("/", "/api/run", CASE, f"{CASE}/tiles/0/0/0", "/nothing", "/page/index.html"):
        for answer in (server.ask(target), server.ask(target, cookie="-=-")):
            head = answer.head.decode().lower()
            assert "default-src 'none'; script-src 'self'" in head
            assert "unsafe" not in head
            assert all(f"{name}: " in head for name in guard.HEADERS), target
            assert "server:" not in head


def test_flood_is_answered_in_part_and_the_server_lives(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_AT_ONCE", 2)
    monkeypatch.setattr(guard, "MAX_WAITING", 4)

    class Slow(DrawnTiles):
        def tile_soon(self, key: TileKey, /) -> Future[bytes]:
            found: Future[bytes] = Future()
            threading.Timer(0.2, found.set_result, [self.tile(key)]).start()
            return found

    statuses: list[int] = []
    with served(out, Slow()) as running:

        def flood(number: int) -> None:
            statuses.append(running.ask(f"{CASE}/tiles/0/{number}/1").status)

        threads = [threading.Thread(target=flood, args=(number,)) for number in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 6
        assert running.ask("/api/run").status == 200


class Slow(DrawnTiles):
    """Tiles that take twice as long as a head may."""

    def tile_soon(self, key: TileKey, /) -> Future[bytes]:
        found: Future[bytes] = Future()
        threading.Timer(0.8, found.set_result, [self.tile(key)]).start()
        return found


def is_dropped(connection: socket.socket) -> bool:
    """Return whether the server ends the connection, whatever it sends before."""
    try:
        while connection.recv(1 << 16):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_connection_without_a_whole_head_is_dropped(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.4)
    with served(out, Slow()) as running, contextlib.ExitStack() as opened:

        def connect(sent: bytes) -> socket.socket:
            made = opened.enter_context(socket.create_connection(("127.0.0.1", running.port), 3))
            made.sendall(sent)
            return made

        half = f"GET /api/run HTTP/1.1\r\nhost: {running.host}\r\n".encode()
        silent, begun, trickling = connect(b""), connect(b"GET /api/r"), connect(half)
        again = connect(half + f"cookie: {running.cookie}\r\n\r\n".encode())
        assert again.recv(1 << 20).startswith(b"HTTP/1.1 200")
        again.sendall(half)
        with contextlib.suppress(ConnectionError):
            for _ in range(12):
                trickling.sendall(b"x: y\r\n")
                time.sleep(0.1)
        assert [is_dropped(one) for one in (silent, begun, trickling, again)] == [True] * 4
        assert running.ask(f"{CASE}/tiles/0/0/0").status == 200, "an answer may take longer than a head"


def test_link_for_one_use_opens_the_page_once(out: Path) -> None:
    app = make_app(open_folder(out), DrawnTiles(), token=TOKEN, once="read-by-others", port=80)
    mine, theirs = (TestClient(app, base_url="http://127.0.0.1:80", follow_redirects=False) for _ in range(2))
    assert mine.get("/?token=read-by-other").status_code == 403
    assert mine.get("/?token=read-by-others").status_code == 303
    assert mine.get("/api/run").status_code == 200
    answer = theirs.get("/?token=read-by-others")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "E_TOKEN")
    assert theirs.get("/api/run").status_code == 401
    assert [theirs.get(f"/?token={TOKEN}").status_code for _ in range(2)] == [303, 303]


def test_link_without_a_token_is_no_link_for_one_use(out: Path) -> None:
    app = make_app(open_folder(out), DrawnTiles(), token=TOKEN, port=80)
    assert TestClient(app, base_url="http://127.0.0.1:80").get("/?token=").status_code == 403


def test_fault_of_ours_is_a_500_without_a_path(out: Path) -> None:
    class Broken(DrawnTiles):
        def has(self, slide: str, /) -> bool:
            raise RuntimeError(f"{out}/slides: a bug")

    answer = client(out, Broken()).get("/api/cases")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "E_BUG"
    assert str(out) not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("host", "name", "known"),
    [("127.0.0.1", "127.0.0.1:80", True), ("127.0.0.1", "127.0.0.1", True), ("0.0.0.0", "192.168.1.7:80", True), ("0.0.0.0", "evil.example:80", False),
     ("::", "[fe80::1]:80", True), ("192.168.1.7", "192.168.1.7:80", True), ("192.168.1.7", "192.168.1.8:80", False), ("box.local", "box.local:80", True)],
)  # fmt: skip
def test_name_by_which_the_server_is_called(host: str, name: str, known: bool) -> None:
    assert Door("x", host, 80).is_name(name) is known


@pytest.mark.parametrize(
    ("text", "told"),
    [("/root/data/a b.svs: gone", "a b.svs: gone"), ("can't read /etc/passwd now", "can't read passwd now"), (r"C:\users\me\x.svs: no", "x.svs: no"),
     ("5 µm/px and 3/4 of it", "5 µm/px and 3/4 of it"), ("one/1.svs: why", "one/1.svs: why"), ("(/srv/OUT/slides/x/scores.h5)", "(scores.h5)")],
)  # fmt: skip
def test_paths_are_taken_out_of_messages(text: str, told: str) -> None:
    assert without_paths(text) == told


def test_decision_over_the_socket_is_kept(tmp_path: Path) -> None:
    made = make_out(tmp_path / "OUT")
    with served(made) as one, served(made) as two:
        for number, running in enumerate((one, two, one), 1):
            answer = running.ask(f"/api/cases/{BENIGN}/decisions", "POST", body=decision(verdict="agree"))
            assert (answer.status, json.loads(answer.body)["entry"]["sequence"]) == (201, number)
    assert decide(client(made), BENIGN).json()["entry"]["sequence"] == 4


def test_app_takes_any_host_it_is_told(out: Path) -> None:
    app = make_app(open_folder(out), DrawnTiles(), token=TOKEN, host="0.0.0.0", port=80)
    browser = TestClient(app, base_url="http://192.168.1.7")
    assert browser.get("/api/run").status_code == 401
    assert browser.get(f"/?token={TOKEN}").status_code == 200
    assert browser.get("/api/run").status_code == 200
