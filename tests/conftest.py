"""Checks every shape that the package names, and keeps the account of what the tests compile."""

from collections import defaultdict

import jax
import pytest
from jaxtyping import install_import_hook

# Must stand before the first import of the package.
install_import_hook("jaxrl_sparse", "shape_checks.typechecker")

# Seconds of XLA's backend compilation. Compiling is what this suite pays for; slow tests count in the suite's total
# alone.
TEST_LIMIT, FILE_LIMIT, SUITE_LIMIT = 8.0, 25.0, 1100.0
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


class CompileMeter:
    """Adds up the seconds that XLA compiled for, by test and by file."""

    def __init__(self):
        self.total = 0.0
        self.by_test = defaultdict(float)
        self.by_file = defaultdict(float)

    def listen(self, event, duration, **_):
        if event == COMPILE_EVENT:
            self.total += duration


METER = CompileMeter()


def pytest_addoption(parser):
    parser.addoption(
        "--compile-budget",
        choices=("fail", "report"),
        default="fail",
        help="what to do where a test compiles for too long (report: on a machine that does other work too)",
    )
    parser.addoption(
        "--first-cases",
        action="store_true",
        help="of a test with several cases the first alone: every test once, in half of the time",
    )


# After the markers have chosen: the first case of those that are left.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if config.getoption("--first-cases"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        kept = [item for item in items if first[item.nodeid.partition("[")[0]] is item]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_configure(config):
    jax.monitoring.register_event_duration_secs_listener(METER.listen)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    before = METER.total
    result = yield
    spent = METER.total - before
    METER.by_test[item.nodeid] += spent
    if item.get_closest_marker("slow") is None:
        METER.by_file[item.nodeid.split("::")[0]] += spent
    return result


def over_budget():
    spends = [(name, spent, FILE_LIMIT) for name, spent in METER.by_file.items()]
    spends.append(("the suite", METER.total, SUITE_LIMIT))
    return [f"{name}: {spent:.1f} s, limit {limit:.0f} s" for name, spent, limit in spends if spent > limit]


@pytest.fixture(autouse=True)
def compile_budget_of_the_test(request):
    before = METER.total
    yield
    spent = METER.total - before
    strict = request.config.getoption("--compile-budget") == "fail" and not request.node.get_closest_marker("slow")
    if strict and spent > TEST_LIMIT:
        pytest.fail(f"compiled for {spent:.1f} s, limit {TEST_LIMIT:.0f} s", pytrace=False)


def pytest_sessionfinish(session, exitstatus):
    if over_budget() and exitstatus == 0 and session.config.getoption("--compile-budget") == "fail":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("compilation")
    terminalreporter.line(f"{METER.total:.1f} s in all; the dearest ten:")
    for name, spent in sorted(METER.by_test.items(), key=lambda pair: -pair[1])[:10]:
        terminalreporter.line(f"{spent:6.1f} s  {name}")
    terminalreporter.line("the dearest ten files, without slow tests:")
    for name, spent in sorted(METER.by_file.items(), key=lambda pair: -pair[1])[:10]:
        terminalreporter.line(f"{spent:6.1f} s  {name}")
    for line in over_budget():
        terminalreporter.line(f"over budget: {line}", red=True)
