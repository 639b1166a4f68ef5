"""The rules on paper: each row restates what the kernel's source says, independent of any kernel.

net/ipv4/inet_hashtables.c __inet_check_established; net/ipv4/tcp_ipv4.c tcp_twsk_unique (6.18).
"""

import pytest

from timewait.clock import MS
from timewait.lab.rules import RULES, Holder, Situation, explain, judge

TIME_WAIT, OLD = Holder("TIME-WAIT", True, 0), Holder("TIME-WAIT", True, 2000 * MS)
ORPHAN, FULL = Holder("FIN-WAIT-2", True, 2000 * MS), Holder("FIN-WAIT-2", False)


@pytest.mark.parametrize(
    ("situation", "rule"),
    [
        (Situation(None, None, True, True), "nothing-waits"),
        (Situation(None, TIME_WAIT, False, True), "listener-reopens"),
        (Situation(TIME_WAIT, None, True, True), "bound-port-reuses"),
        (Situation(TIME_WAIT, None, True, True, tw_reuse=0), "bound-port-reuses"),
        (Situation(ORPHAN, FULL, True, True), "bound-port-reuses"),
        (Situation(TIME_WAIT, None, False, True), "no-timestamps"),
        (Situation(OLD, None, False, False, tw_reuse=1), "no-timestamps"),
        (Situation(OLD, None, True, False, tw_reuse=0), "tw-reuse-off"),
        (Situation(OLD, None, True, False, tw_reuse=2, loopback=False), "loopback-only"),
        (Situation(OLD, None, True, False, tw_reuse=2), "ephemeral-reuses"),
        (Situation(OLD, None, True, False, tw_reuse=1, loopback=False), "ephemeral-reuses"),
        (Situation(TIME_WAIT, None, True, False), "delay-not-over"),
        (Situation(OLD, None, True, False, delay=3000 * MS), "delay-not-over"),
        (Situation(ORPHAN, None, True, False), "fin-wait-2"),
        (Situation(FULL, None, True, True), "full-socket"),
        (Situation(Holder("CLOSE-WAIT", False), TIME_WAIT, True, False), "full-socket"),
    ],
)
def test_the_rule_that_decides(situation: Situation, rule: str) -> None:
    assert judge(situation).id == rule


def test_a_result_against_the_rules_is_never_explained_away() -> None:
    assert explain(Situation(TIME_WAIT, None, False, True), allowed=True).id == "unexplained"
    assert explain(Situation(None, None, True, True), allowed=False).id == "unexplained"


def test_a_fin_acknowledged_between_the_look_and_the_connect_is_allowed_for() -> None:
    assert explain(Situation(Holder("FIN-WAIT-1", False), None, True, True), allowed=True).id == "bound-port-reuses"


def test_letters_tell_rules_apart() -> None:
    assert len({rule.letter for rule in RULES.values()}) == len(RULES)
