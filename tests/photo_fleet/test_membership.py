"""The balancer's members and the reasons, on a clock that the test moves."""

import pytest

from photo_fleet.balancer.membership import Outcome, Probe
from photo_fleet.balancer.probes import judge
from tests.photo_fleet.membership_world import CHECK, DRAINING, OK, REFUSED, SICK, World, settled


def test_the_first_of_an_empty_set_enters_at_its_first_success() -> None:
    world = World("a")
    world.pass_time(0.1)
    assert world.members == "a"


def test_the_others_enter_after_as_many_successes_as_the_spec_asks() -> None:
    world = World("a")
    world.pass_time(1)
    world.states["b"] = "ready"
    world.pass_time(0.5)
    assert world.members == "a", "one probe of two"
    world.pass_time(1)
    assert world.members == "ab"
    first, second = world.probed_at["b"][:2]
    assert 0.9 <= second - first <= 1.2, "every second until it is in"


def test_one_whose_probes_fail_does_not_enter() -> None:
    world = World("ab")
    world.answers["b"] = SICK
    world.pass_time(10)
    assert world.members == "a"
    assert 9 <= len(world.probed_at["b"]) <= 11, "and is probed on every second"


def test_a_candidate_that_fails_between_begins_anew() -> None:
    world = settled("a")
    world.states["b"] = "ready"
    world.pass_time(0.5)
    world.answers["b"] = SICK
    world.pass_time(1)
    world.answers["b"] = OK
    world.pass_time(1)
    assert world.members == "a"
    world.pass_time(1)
    assert world.members == "ab"


def test_one_that_is_not_ready_is_not_probed() -> None:
    world = World("a")
    world.states["a"] = "starting"
    world.pass_time(5)
    assert world.members == ""
    assert not world.probed_at


def test_drain_stop_and_loss_take_out_at_once_also_the_last_one() -> None:
    for state in ("draining", "stopped", "lost"):
        world = settled("ab")
        world.states["a"] = state
        world.look()
        assert world.members == "b", state
        assert world.membership.cause("a") == state
        world.states["b"] = state
        world.look()
        assert world.members == "", state


def test_members_whose_rows_vanish_stay_while_their_probes_pass() -> None:
    """A clean-up by hand, a restored backup: with the rows of all gone, all stay."""
    world = settled("abc")
    del world.states["a"]
    world.states["b"] = "starting"
    world.pass_time(60)
    assert world.members == "abc"
    world.answers |= {"a": REFUSED}
    assert world.pass_time(60, unless=lambda: world.members == "bc") < 4
    world.states.clear()
    world.pass_time(60)
    assert world.members == "bc"


def test_one_without_a_row_leaves_when_another_has_its_address() -> None:
    world = settled("ab")
    del world.states["a"]
    world.addresses["c"] = world.member("a").address
    world.states["c"] = "starting"
    world.look()
    assert world.members == "b"


@pytest.mark.parametrize("pruned", [False, True], ids=["lost", "without a row"])
def test_those_that_died_are_no_part_of_panic(pruned: bool) -> None:
    """One death after the other: a member out by its probes and then lost must not count."""
    world = settled("abc")
    for dead, newcomer in zip("abcd", "defg", strict=True):
        world.answers[dead] = REFUSED
        assert world.pass_time(60, unless=lambda: world.panic) > 59
        world.states[dead] = "lost"
        if pruned:
            del world.states[dead]
        world.states[newcomer] = "ready"
        assert world.pass_time(60, unless=lambda: world.panic) > 59
        assert world.members == "".join(sorted(set(world.states) - set(world.answers)))


def test_all_that_are_sick_without_a_row_are_kept() -> None:
    world = settled("abc")
    world.states.clear()
    world.answers |= dict.fromkeys("abc", SICK)
    world.pass_time(60)
    assert (world.members, world.panic) == ("abc", True)


def test_one_that_never_was_a_member_needs_a_row_that_is_ready() -> None:
    world = settled("a")
    world.states["b"] = "ready"
    world.look()
    del world.states["b"]
    world.pass_time(10)
    assert world.members == "a"
    world.states["b"] = "starting"
    world.pass_time(10)
    assert world.members == "a"


def test_a_member_leaves_after_as_many_failures_in_a_row_as_the_spec_says() -> None:
    world = settled("abc")
    world.answers["b"] = SICK
    longest = CHECK.interval + (CHECK.unhealthy - 1) * 1.0
    assert 2 <= world.pass_time(200, unless=lambda: world.members == "ac") <= longest + 0.5
    first, second, third = world.probed_at["b"][-3:]
    assert 1 <= second - first <= 1.2, "a suspect is asked every second"
    assert 1 <= third - second <= 1.2
    assert max(world.probed_at["a"][-1], world.probed_at["c"][-1]) <= third, "nobody else is"
    assert world.membership.cause("b") == "3 probes failed: 503 unhealthy"
    world.answers["b"] = OK
    assert world.pass_time(10, unless=lambda: world.members == "abc") < 2.5


def test_the_interval_counts_from_the_beginning_of_a_probe() -> None:
    """So one that hangs leaves as soon as is documented: 15 to 45 s with these numbers."""
    world = settled("abc")
    world.answers["b"], world.hanging["b"] = SICK, CHECK.timeout
    longest = CHECK.interval + CHECK.unhealthy * CHECK.timeout
    assert 15 <= world.pass_time(200, unless=lambda: world.members == "ac") <= longest + 0.8
    first, second, third = world.probed_at["b"][-3:]
    assert 5 <= second - first <= 5.2
    assert 5 <= third - second <= 5.2


def test_failures_that_are_not_in_a_row_take_nobody_out() -> None:
    world = settled("abc")
    for _ in range(10):
        world.answers["b"] = SICK
        world.pass_time(60)
        world.answers["b"] = OK
        world.pass_time(31)
        assert world.members == "abc"


def test_a_time_scale_shortens_the_interval_and_not_the_count() -> None:
    world = settled("abc", probe_scale=60)
    world.answers["b"] = SICK
    assert 0.9 <= world.pass_time(20, unless=lambda: world.members == "ac") <= 2.5


def test_panic_keeps_all_when_fewer_than_half_would_remain() -> None:
    world = settled("abcd")
    world.answers |= {"a": SICK, "b": SICK}
    world.pass_time(95)
    assert (world.members, world.panic) == ("cd", False), "half is enough"
    world.answers["c"] = SICK
    world.pass_time(95)
    assert (world.members, world.panic) == ("abcd", True)
    world.answers["a"] = OK
    world.pass_time(3)
    assert (world.members, world.panic) == ("ad", False)


def test_the_only_member_is_kept_however_sick() -> None:
    world = settled("a")
    world.answers["a"] = REFUSED
    world.pass_time(200)
    assert (world.members, world.panic) == ("a", True)


def test_those_that_drain_leave_in_panic_too() -> None:
    world = settled("abcd")
    world.answers |= dict.fromkeys("abcd", SICK)
    world.pass_time(95)
    assert (world.members, world.panic) == ("abcd", True)
    world.states |= {"a": "draining", "b": "lost", "c": "stopped"}
    world.look()
    assert world.members == "d"


def test_a_newcomer_that_never_passed_is_no_part_of_panic() -> None:
    world = settled("a")
    world.answers |= {"b": SICK, "c": SICK}
    world.states |= {"b": "ready", "c": "ready"}
    world.pass_time(200)
    assert (world.members, world.panic) == ("a", False)


def test_a_drain_that_the_registry_has_not_heard_of_is_seen_by_the_probe() -> None:
    world = settled("ab")
    world.answers["a"] = DRAINING
    world.pass_time(31)
    assert world.members == "b"
    world.answers["a"] = OK
    world.pass_time(31)
    assert world.members == "b", "nobody comes back from a drain"
    assert world.membership.draining == frozenset(), "acknowledged is only what the registry knows"
    world.states["a"] = "draining"
    world.look()
    assert world.membership.draining == {"a"}


def test_one_that_was_lost_and_is_back_has_to_pass_again() -> None:
    world = settled("ab")
    world.states["a"] = "lost"
    world.look()
    world.states["a"] = "ready"
    world.answers["a"] = SICK
    world.pass_time(10)
    assert world.members == "b"
    world.answers["a"] = OK
    world.pass_time(3)
    assert world.members == "ab"


def test_an_address_belongs_to_the_boot_that_came_last() -> None:
    world = settled("ab")
    world.addresses["c"] = world.member("a").address
    world.states["c"] = "starting"
    world.look()
    assert world.members == "b"
    assert world.membership.cause("a") == "another instance has its address"
    world.states["c"] = "ready"
    world.pass_time(3)
    assert world.members == "bc"


def test_two_balancers_decide_each_by_their_own_probes() -> None:
    one, other = settled("abc"), settled("abc")
    other.answers["a"] = Probe(Outcome.FAILED, "no answer within 5 s")
    for world in (one, other):
        world.pass_time(95)
    assert (one.members, other.members) == ("abc", "bc")
    for world in (one, other):
        world.states["b"] = "draining"
        world.look()
        assert world.membership.draining == {"b"}
    assert (one.members, other.members) == ("ac", "c")


def test_without_the_registry_the_last_set_is_kept() -> None:
    world = settled("abc")
    world.registry_away = True
    world.answers |= dict.fromkeys("abc", SICK)
    world.pass_time(300)
    assert (world.members, world.panic) == ("abc", False), "what fails there fails for all"


def test_without_the_registry_a_refused_connection_takes_out_unless_few_would_remain() -> None:
    world = settled("abcd")
    world.registry_away = True
    world.answers["a"] = REFUSED
    assert 1 < world.pass_time(20, unless=lambda: world.members == "bcd") < 5
    assert world.membership.cause("a") == "3 connections refused, registry away"
    world.answers |= dict.fromkeys("bcd", REFUSED)
    world.pass_time(10)
    assert (world.members, world.panic) == ("abcd", True)


def test_without_the_registry_a_drain_is_seen_within_about_a_second() -> None:
    world = settled("abc")
    world.registry_away = True
    world.answers["a"] = DRAINING
    assert world.pass_time(20, unless=lambda: world.members == "bc") < 1.5


def test_without_the_registry_nobody_new_comes_in() -> None:
    world = settled("a")
    world.states["b"] = "ready"
    world.pass_time(0.5)
    world.registry_away = True
    world.pass_time(30)
    assert world.members == "a"


def test_a_registry_that_blinks_keeps_no_sick_member_in() -> None:
    world = settled("abc")
    world.answers["b"] = SICK
    for _ in range(30):
        world.pass_time(1.5)
        world.registry_away = True
        world.pass_time(0.5)
        world.registry_away = False
    assert world.members == "ac"


def test_when_the_registry_is_back_all_are_kept_while_all_are_sick() -> None:
    world = settled("abc")
    world.answers |= dict.fromkeys("abc", SICK)
    world.pass_time(1)
    world.registry_away = True
    world.pass_time(60)
    world.registry_away = False
    world.pass_time(2)
    assert world.members == "abc"
    world.states["a"] = "draining"
    world.look()
    assert world.members == "bc"


def test_what_nginx_has_is_where_a_restart_begins() -> None:
    world = World("ab")
    world.membership.adopt([world.member("a"), world.member("z")], world.now)
    world.answers["z"] = REFUSED
    assert world.members == "az"
    world.look()
    assert world.members == "az", "z may be well without a row, b has not passed its probes"
    world.pass_time(4)
    assert world.members == "ab"


def test_a_restart_without_the_registry_keeps_what_nginx_has() -> None:
    world = World()
    world.registry_away = True
    world.membership.adopt([world.member("a"), world.member("b")], world.now)
    world.pass_time(60)
    assert world.members == "ab"


def test_settled_is_when_nobody_is_on_the_way_in() -> None:
    world = World("ab")
    world.answers["b"] = SICK
    world.look()
    assert not world.membership.settled
    world.pass_time(0.1)
    assert world.membership.settled, "a is in, b has failed"
    world.states["c"] = "ready"
    world.pass_time(0.1)
    assert not world.membership.settled, "c has passed one probe of two"


def test_an_answer_is_judged_by_its_code_and_a_drain_by_its_body() -> None:
    def seen(code: str, body: str = "") -> Probe:
        return judge(f"HTTP/1.1 {code}\r\nServer: x\r\n\r\n{body}".encode())

    assert seen("200 OK", '{"status": "healthy"}') == OK
    assert seen("200 OK", "fine").outcome is Outcome.HEALTHY
    assert seen("503 No", '{"status": "unhealthy"}') == SICK
    assert seen("503 No", '{"status": "draining"}') == DRAINING
    assert seen("301 Moved").outcome is Outcome.FAILED
    assert judge(b"") == Probe(Outcome.FAILED, "closed without an answer")
    assert judge(b"SSH-2.0 200\r\n") == Probe(Outcome.FAILED, "not HTTP")
