from __future__ import annotations

from smpchat.agent.machines.retry import AFTER_SUBSCRIBING, FIRST_MESSAGE
from smpchat.agent.machines.subscriptions import SubscriptionPlan


def test_nothing_is_due_at_first() -> None:
    plan: SubscriptionPlan[int] = SubscriptionPlan()
    assert plan.next_deadline() is None
    assert plan.take_due(1e9) == []


def test_a_new_subscription_is_repeated_once_soon() -> None:
    plan: SubscriptionPlan[int] = SubscriptionPlan()
    plan.subscribed(7, 100)
    assert plan.next_deadline() == 100 + AFTER_SUBSCRIBING
    assert plan.take_due(100 + AFTER_SUBSCRIBING - 0.01) == []
    assert plan.take_due(100 + AFTER_SUBSCRIBING) == [7]
    plan.repeated(7, 101, awaits_first_message=False)
    assert plan.next_deadline() is None


def test_while_a_first_message_is_awaited_it_goes_on_with_growing_pauses() -> None:
    plan, now = SubscriptionPlan[int](), 0.0
    plan.subscribed(7, now)
    pauses = []
    for _ in range(6):
        deadline = plan.next_deadline()
        assert deadline is not None
        pauses.append(deadline - now)
        now = deadline
        assert plan.take_due(now) == [7]
        plan.repeated(7, now, awaits_first_message=True)
    assert pauses == [AFTER_SUBSCRIBING, *FIRST_MESSAGE, FIRST_MESSAGE[-1], FIRST_MESSAGE[-1]]


def test_reconnecting_starts_again() -> None:
    plan: SubscriptionPlan[int] = SubscriptionPlan()
    plan.subscribed(7, 0)
    plan.repeated(7, 1, awaits_first_message=True)
    plan.repeated(7, 6, awaits_first_message=True)
    plan.subscribed(7, 100)
    assert plan.next_deadline() == 100 + AFTER_SUBSCRIBING


def test_a_forgotten_queue_stays_forgotten() -> None:
    plan: SubscriptionPlan[int] = SubscriptionPlan()
    plan.subscribed(7, 0)
    plan.forget(7)
    plan.forget(8)
    plan.repeated(7, 1, awaits_first_message=True)
    assert plan.next_deadline() is None


def test_queues_do_not_wait_for_each_other() -> None:
    plan: SubscriptionPlan[int] = SubscriptionPlan()
    plan.subscribed(1, 0)
    plan.subscribed(2, 10)
    assert plan.next_deadline() == AFTER_SUBSCRIBING
    assert plan.take_due(5) == [1]
    assert sorted(plan.take_due(20)) == [1, 2]


def test_after_failures_it_is_tried_again_with_growing_pauses() -> None:
    plan, now, pauses = SubscriptionPlan[int](), 0.0, []
    plan.subscribed(7, now)
    for _ in range(5):
        plan.failed(7, now)
        deadline = plan.next_deadline()
        assert deadline is not None
        pauses.append(deadline - now)
        now = deadline
        plan.repeated(7, now, awaits_first_message=False)
    assert pauses == [*FIRST_MESSAGE, FIRST_MESSAGE[-1], FIRST_MESSAGE[-1]]
    plan.succeeded(7)
    assert plan.next_deadline() is None
    plan.failed(7, now)
    assert plan.next_deadline() == now + FIRST_MESSAGE[0]
