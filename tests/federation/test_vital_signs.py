"""Which sites are gone: those that were heard once and are silent for too long."""

from __future__ import annotations

import threading

from medmamba_monai.federation.vital_signs import Pulse, VitalSigns


def test_a_site_is_gone_after_its_silence_and_back_with_its_next_sign():
    now = [100.0]
    signs = VitalSigns(60, lambda: now[0])
    signs.hear("a")
    now[0] = 160.0
    signs.hear("b")
    assert signs.list_gone(["a", "b", "never"]) == []
    now[0] = 160.1
    assert signs.list_gone(["a", "b", "never"]) == ["a"]
    signs.hear("a")
    assert signs.list_gone(["a", "b", "never"]) == []


def test_a_site_that_was_never_heard_is_gone_once_it_is_waited_for():
    now = [100.0]
    signs = VitalSigns(60, lambda: now[0])
    signs.hear("a")
    now[0] = 130.0
    signs.expect(["a", "never"])
    now[0] = 170.0
    assert signs.list_gone(["a", "never"]) == ["a"]
    now[0] = 190.1
    assert signs.list_gone(["a", "never"]) == ["a", "never"]


def test_a_pulse_beats_until_it_is_ended_whatever_one_beat_meets():
    beats, enough = [], threading.Event()

    def beat() -> None:
        beats.append(len(beats))
        if len(beats) == 4:
            enough.set()
        raise OSError("no connection")

    pulse = Pulse(beat, 0.01)
    assert enough.wait(10)
    pulse.end()
    after = len(beats)
    assert not threading.Event().wait(0.1)
    assert len(beats) <= after + 1
