"""What is told while slides are worked on, and when they are through."""

from wsi.cli.progress import Profile, Quiet
from wsi.engine.run import Spent


def test_profile_adds_up_slides_and_says_what_the_encoder_waited_for() -> None:
    profile = Profile(Quiet())
    for seconds in (
        {"hash": 1.0, "encode": 9.0, "encode: loading the network": 5.0, "encode: waiting for tiles": 1.0},
        {"hash": 1.0, "encode": 4.0, "encode: waiting for tiles": 1.0},
    ):
        profile.watch(Spent("a", seconds))
    lines = profile.lines()
    assert any(line.startswith("checking") and "2.00" in line and "13.3%" in line for line in lines)
    assert any(line.startswith("encoding") and "13.00" in line and "86.7%" in line for line in lines)
    assert any(line.startswith("  waiting for tiles") and "2.00" in line for line in lines)
    assert lines[-1] == "The encoder waited for tiles 25.0% of its time."
