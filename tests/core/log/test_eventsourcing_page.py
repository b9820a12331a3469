"""The page about eventsourcing: its programs follow the log of a running server, and the errors that it names."""

from pathlib import Path

import eventsourcing.persistence as es
import pytest
from eventsourcing.application import Application
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from tests.conftest import Serve
from tests.support.blocks import blocks, run

PAGE = "docs/reference/eventsourcing.md"


def test_the_programs_follow_a_running_server(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    programs = {name: text.replace('".athena"', repr(str(server.state_dir))) for name, text in blocks(PAGE).items()}
    assert programs.keys() == {"follow", "keep", "read"}
    server.api.run()
    server.api.run()
    assert run(programs["follow"], tmp_path) == "2 runs completed\n"
    assert run(programs["keep"], tmp_path) == "{'mock-model': 2}\n"
    server.api.run()
    assert run(programs["keep"], tmp_path) == "{'mock-model': 3}\n"  # the first two are not counted again
    assert run(programs["read"], tmp_path).startswith("1 AUTHZ_MODE_ACTIVE system:server\n2 ")


class Plane(Application[str]):
    name = "plane"


class View(POPOTrackingRecorder): ...


class Counting(Projection[View]):
    name = "counting"

    def process_event(self, domain_event: object, tracking: es.Tracking) -> None: ...


def test_a_view_of_another_module_is_refused_with_the_setting_to_change(serve: Serve) -> None:
    env = {
        "PERSISTENCE_MODULE": "athena_core.log.tools.recorder",
        "ATHENA_LOG": str(serve().state_dir),
        "MAPPER_TOPIC": "athena_core.log.tools.recorder:AthenaMapper",
    }
    with pytest.raises(es.ProgrammingError, match="View is not .* Set COUNTING_PERSISTENCE_MODULE to"):
        ProjectionRunner(application_class=Plane, projection_class=Counting, view_class=View, env=env)
