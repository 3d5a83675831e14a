"""What a worker does, in this process: what it reports, and that no key stays behind."""

from __future__ import annotations

import os
import signal

import pytest

from kvbench.bench.arms import Arm
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.messages import (
    BaselineSample,
    Done,
    Explored,
    Group,
    KeysRemain,
    Lane,
    Lost,
    Measured,
    NoFigure,
    Opened,
    Placed,
    TargetTask,
    Task,
    TaskProgress,
    TaskRefused,
)
from kvbench.bench.placement import Placement
from kvbench.bench.worker import do
from kvbench.model import BatchOperation
from tests.bench import bench_targets as targets
from tests.bench.bench_targets import FAST, DictBackend, register

NOWHERE = Placement(reason="off: a test")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    names = {cls.__name__.lower(): cls for cls in vars(targets).values() if is_target(cls)}
    register(monkeypatch, **names)


def is_target(thing):
    return isinstance(thing, type) and thing.__module__ == targets.__name__


def task_for(*schemes, operations=(BatchOperation.MGET,), sizes=(10, 100)):
    groups = [Group(op, [Lane(Arm.BATCH, size) for size in sizes]) for op in operations]
    found = [
        TargetTask(place, f"{scheme}://", f"{scheme}://", groups)
        for place, scheme in enumerate(schemes)
    ]
    return Task("explore", 0, FAST, NOWHERE, found)


def carry_out(task, interrupts=None, on_message=lambda message: None):
    messages = []

    def send(message):
        messages.append(message)
        on_message(message)

    do(task, send, interrupts or Interrupts())
    return messages


def of(kind, messages):
    return [message for message in messages if isinstance(message, kind)]


def explore_and_measure(*schemes, **options):
    explored = carry_out(task_for(*schemes, **options))
    tasks = [message.task for message in of(Explored, explored)]
    return carry_out(Task("measure", 1, FAST, NOWHERE, tasks))


@pytest.mark.parametrize("scheme", ["dictbackend", "asyncdict"])
def test_exploring_calibrates_every_lane_and_leaves_no_key(scheme):
    DictBackend.data["mine"] = b"1"
    messages = carry_out(task_for(scheme, operations=BatchOperation))
    [opened] = of(Opened, messages)
    assert opened.batch_kinds == dict.fromkeys(BatchOperation, "native")
    [explored] = of(Explored, messages)
    assert [group.op for group in explored.task.groups] == list(BatchOperation)
    for group in explored.task.groups:
        lanes = {(lane.arm, lane.batch_size) for lane in group.lanes}
        assert lanes >= {(Arm.INDIVIDUAL, 1), (Arm.BATCH, 10), (Arm.BATCH, 100)}
        assert all(lane.units >= 1 and lane.sample_ns > 0 for lane in group.lanes)
    assert any(lane.arm is Arm.SELF for lane in explored.task.groups[0].lanes)
    assert isinstance(messages[-1], Done)
    assert of(NoFigure, messages) == of(BaselineSample, messages) == []
    assert DictBackend.data == {"mine": b"1"}


@pytest.mark.parametrize("scheme", ["dictbackend", "asyncdict"])
def test_a_round_measures_every_arm_and_the_baselines_and_leaves_no_key(scheme):
    DictBackend.data["mine"] = b"1"
    messages = explore_and_measure(scheme, operations=BatchOperation)
    assert len(of(BaselineSample, messages)) == 1
    assert {message.op for message in of(Measured, messages)} == set(BatchOperation)
    for measured in of(Measured, messages):
        assert all(len(lane.ns_per_key) == FAST.blocks for lane in measured.lanes)
        assert all(time_ns > 0 for lane in measured.lanes for time_ns in lane.ns_per_key)
        assert len(measured.control_ns) == FAST.blocks
    assert DictBackend.data == {"mine": b"1"}


def test_rounds_measure_in_another_order():
    explored = carry_out(task_for("dictbackend", operations=BatchOperation))
    tasks = [message.task for message in of(Explored, explored)]
    orders = {
        tuple([one.op for one in of(Measured, carry_out(Task("measure", n, FAST, NOWHERE, tasks)))])
        for n in range(1, 6)
    }
    assert len(orders) > 1


def test_steps_name_what_is_measured():
    steps = [step.text for step in of(TaskProgress, carry_out(task_for("dictbackend")))]
    assert steps[0] == "opening dictbackend://"
    assert "dictbackend:// mget × 100: calibrating" in steps
    assert "dictbackend:// mget × 10: same answers?" in steps


def test_a_cell_whose_check_fails_has_a_reason_and_no_lane():
    messages = carry_out(
        task_for("reordering", operations=(BatchOperation.MGET, BatchOperation.MSET))
    )
    assert {one.op for one in of(NoFigure, messages)} == {"mget"}
    assert all(one.reason.startswith("mget gives") for one in of(NoFigure, messages))
    [explored] = of(Explored, messages)
    assert [group.op for group in explored.task.groups] == ["mset"]
    assert DictBackend.data == {}


@pytest.mark.parametrize("scheme", ["deletesnothing", "firstpairwins", "countsrepeated"])
def test_wrong_batches_are_not_used_to_fill_or_to_clean_up(scheme):
    messages = explore_and_measure(scheme, operations=(BatchOperation.MGET, BatchOperation.MEXISTS))
    assert len(of(Measured, messages)) == 2
    assert DictBackend.data == {}


def test_a_failing_adapter_costs_the_cell_and_not_the_run():
    messages = carry_out(task_for("refuses", "dictbackend"))
    assert {one.reason for one in of(NoFigure, messages)} == {
        "mget: RuntimeError: cannot do that today"
    }
    assert [len(one.task.groups) for one in of(Explored, messages)] == [0, 1]


def test_an_adapter_that_fails_later_loses_the_operation_in_this_round(monkeypatch):
    explored = carry_out(
        task_for("dictbackend", operations=(BatchOperation.MGET, BatchOperation.MDEL))
    )
    tasks = [message.task for message in of(Explored, explored)]

    def refuse(self, keys):
        raise RuntimeError("quota exceeded")

    monkeypatch.setattr(DictBackend, "mget", refuse)
    messages = carry_out(Task("measure", 1, FAST, NOWHERE, tasks))
    assert [one.op for one in of(Measured, messages)] == ["mdel"]
    [refused] = of(NoFigure, messages)
    assert (refused.op, refused.batch_size) == ("mget", 0)
    assert "quota exceeded" in refused.reason


def test_a_target_that_cannot_be_reached_is_refused_while_exploring():
    messages = carry_out(task_for("dictbackend", "unreachable"))
    [refused] = of(TaskRefused, messages)
    assert refused.kind == "connection"
    assert "nobody answers at unreachable://" in refused.reason
    assert isinstance(messages[-1], Done)


def test_an_unknown_scheme_and_a_long_key_are_the_users_mistakes(monkeypatch):
    [refused] = of(TaskRefused, carry_out(task_for("nosuch")))
    assert refused.kind == "usage"

    def too_long(self, key):
        raise ValueError("key of 300 bytes with its namespace")

    monkeypatch.setattr(DictBackend, "exists", too_long)
    [refused] = of(TaskRefused, carry_out(task_for("dictbackend")))
    assert refused.kind == "usage"
    assert "shorter --key-length" in refused.reason


def test_a_target_that_is_lost_ends_the_task_and_names_the_keys_that_may_remain():
    messages = carry_out(task_for("dictbackend", "vanishes"))
    [lost] = of(Lost, messages)
    assert (lost.place, lost.reason) == (1, "vanishes://: connection reset")
    [remain] = of(KeysRemain, messages)
    assert remain.prefix.startswith("kb:")
    assert isinstance(messages[-1], Done)


def test_a_private_server_that_dies_leaves_no_keys_to_report():
    messages = carry_out(task_for("vanishesalone"))
    assert len(of(Lost, messages)) == 1
    assert of(KeysRemain, messages) == []


def test_a_target_that_is_lost_at_its_first_call_is_named():
    [lost] = of(Lost, carry_out(task_for("goneonceopen")))
    assert lost.reason == "goneonceopen://: the server closed it"


@pytest.mark.parametrize("scheme", ["dictbackend", "asyncdict"])
def test_a_signal_in_a_round_leaves_no_key(scheme):
    explored = carry_out(task_for(scheme, operations=BatchOperation))
    tasks = [message.task for message in of(Explored, explored)]
    interrupts = Interrupts()
    steps = []

    def signal_at_the_third_step(message):
        steps.append(message)
        if len(of(Measured, steps)) == 1 and isinstance(message, TaskProgress):
            os.kill(os.getpid(), signal.SIGTERM)

    with interrupts.installed(lambda: None), pytest.raises(KeyboardInterrupt):
        carry_out(Task("measure", 1, FAST, NOWHERE, tasks), interrupts, signal_at_the_third_step)
    assert DictBackend.data == {}


def test_the_placement_that_is_in_force_is_reported():
    [placed] = of(Placed, carry_out(task_for("dictbackend")))
    assert placed.placement == NOWHERE
