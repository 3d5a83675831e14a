"""Ctrl-C: at once, except in a section that must not be cut; the second one ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kvbench.bench.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_interrupts_and_is_remembered(number):
    interrupts = Interrupts()
    with interrupts.installed(lambda: None), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert interrupts.signal_number == number


def test_a_section_is_finished_first():
    interrupts = Interrupts()
    steps = []
    with interrupts.installed(lambda: None), pytest.raises(KeyboardInterrupt):
        with interrupts.deferred():
            with interrupts.deferred():
                os.kill(os.getpid(), signal.SIGINT)
                steps.append("inner")
            steps.append("outer")
        steps.append("after")
    assert steps == ["inner", "outer"]


def test_cleaning_up_after_a_signal_is_not_interrupted_again():
    interrupts = Interrupts()
    with interrupts.installed(lambda: None):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with interrupts.deferred():
            pass


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts().installed(lambda: None):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_second_signal_ends_the_process_after_its_last_words():
    program = """
import os, signal
from kvbench.bench.interrupts import Interrupts
interrupts = Interrupts()
with interrupts.installed(lambda: print("last words", flush=True)), interrupts.deferred():
    os.kill(os.getpid(), signal.SIGINT)
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("never", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stdout.split("\n") == ["still here", "last words", ""]
