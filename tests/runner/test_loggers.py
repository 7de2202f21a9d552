import struct

from tensorboardX.proto.event_pb2 import Event

from jaxrl_sparse.runner.loggers import jsonl_logger, tensorboard_logger
from jaxrl_sparse.runner.run_directory import read_rows


def read_events(directory):
    """The events of all files, in order of writing: each is length, checksum of the length, content, checksum."""
    events = []
    for path in sorted(directory.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            events.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += length + 16
    return events


def scalars(events):
    return [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]


def test_events_are_readable_back(tmp_path):
    with tensorboard_logger(tmp_path, "evaluations") as log:
        log([{"step": 0, "evaluations": 300, "coverage": 0.25, "lost": None, "histogram": [1, 2]}])
        log([{"step": 1, "evaluations": 2**40, "coverage": 0.5, "flag": True}])
    assert scalars(read_events(tmp_path)) == [
        (300, "step", 0.0),
        (300, "coverage", 0.25),
        (2**40, "step", 1.0),
        (2**40, "coverage", 0.5),
        (2**40, "flag", 1.0),
    ]


def test_a_resumed_session_purges_what_came_after_its_checkpoint(tmp_path):
    with tensorboard_logger(tmp_path, "evaluations", last_step=300) as log:
        log([{"step": 1, "evaluations": 500, "coverage": 0.5}])
    events = read_events(tmp_path)
    starts = [event.step for event in events if event.HasField("session_log")]
    # Events of the step itself stay: the checkpoint's last row was written there.
    assert starts == [301]


def test_jsonl_appends_whole_lines_at_once(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"step": 0, "coverage": 0.1}, {"step": 1, "coverage": None}]
    with jsonl_logger(path) as log:
        log(rows[:1])
        assert read_rows(path) == rows[:1]
        log(rows[1:])
    with jsonl_logger(path) as log:
        log([{"step": 2, "values": [1.5, None]}])
    assert read_rows(path) == [*rows, {"step": 2, "values": [1.5, None]}]
