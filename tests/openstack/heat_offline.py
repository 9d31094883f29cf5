"""Heat's own code without a cloud, for `tests/openstack/heat.py`: the program of a process of the
Python that has openstack-heat. A line of JSON asks, a line of JSON answers, until standard input
ends.

Heat's classes check properties and constraints, and say what becomes of a group. What they would
ask a cloud is answered at their clients: whatever is named is there.
"""

import importlib
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

LIMITS = {"maxServerMeta": 128, "maxPersonality": 5, "maxPersonalitySize": 10_240}


def module(name: str) -> Any:
    """One of Heat's or OpenStack's, which the project's own Python has not."""
    return importlib.import_module(name)


class Anything:
    """A client of a cloud that has whatever it is asked for."""

    def __getattr__(self, name: str) -> "Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> "Anything":
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def prepare() -> None:
    """Heat's registry of resource types, a database in memory, and clients of no cloud."""
    cfg: Any = module("oslo_config.cfg").CONF
    module("heat.common.config")
    cfg([], project="heat")
    module("heat.common.messaging").setup("fake://")
    database: Any = module("heat.db.api")
    cfg.set_override("connection", "sqlite://", "database")
    module("heat.db.models").BASE.metadata.create_all(database.get_engine())
    plugins = "heat.engine.clients"
    base: Any = module(f"{plugins}.client_plugin").ClientPlugin
    nova: Any = module(f"{plugins}.os.nova").NovaClientPlugin
    octavia: Any = module(f"{plugins}.os.octavia").OctaviaClientPlugin
    module(f"{plugins}.microversion_mixin").MicroversionMixin.client = lambda *_, **__: Anything()
    base.client = lambda *_, **__: Anything()
    base.does_endpoint_exist = lambda *_, **__: True
    module(f"{plugins}.os").ExtensionMixin.has_extension = lambda *_: True
    nova.is_version_supported = lambda *_: True
    nova.absolute_limits = lambda *_: LIMITS
    nova.find_flavor_by_name_or_id = _itself
    module(f"{plugins}.os.glance").GlanceClientPlugin.find_image_by_name_or_id = _itself
    module(f"{plugins}.os.neutron").NeutronClientPlugin.find_resourceid_by_name_or_id = _itself
    for entity in ("pool", "listener", "loadbalancer", "l7policy"):
        setattr(octavia, f"get_{entity}", _itself)
    module("heat.engine.resources").initialise()


def _itself(_: Any, *asked: Any, **__: Any) -> Any:
    return asked[-1]


def stack_of(files: dict[str, str], parameters: Json) -> Any:
    context: Any = module("heat.common.context").RequestContext(
        project_id="p", user_id="u", username="u", auth_url="http://127.0.0.1:1/v3", roles=[]
    )
    tree = module("heat.common.template_format").parse(files["template.yaml"])
    environment = module("heat.engine.environment").Environment({"parameters": parameters})
    template: Any = module("heat.engine.template")
    parsed = template.Template(tree, files=files, env=environment)
    stack: Any = module("heat.engine.stack")
    return stack.Stack(
        context, "photo-api", parsed, stack_id="00000000-0000-4000-8000-00000000000a"
    )


def validate(files: dict[str, str], parameters: Json) -> Json:
    """The properties of all resources as Heat resolves them, those of an instance among them.
    `error` is Heat's own."""
    stack = stack_of(files, parameters)
    try:
        stack.validate()
    except Exception as error:
        return {"error": str(error)}
    return {"error": "", "resources": {name: resolved(stack[name]) for name in stack}}


def resolved(resource: Any) -> Json:
    """Its properties, but for those that only a created stack knows."""
    known = {name: resource.properties[name] for name in resource.properties.props}
    return {name: value for name, value in known.items() if value is not None}


class Members:
    """What Heat's engine tells of the group's own stack, and what it is told of it."""

    def __init__(self, members: list[list[str]], types: Json, definition: Json) -> None:
        self._members, self._types, self._definition = members, types, definition
        self.told: list[Json] = []

    def update(self, template: Any) -> None:
        definitions = template.resource_definitions(None)
        self._types = {name: one.resource_type for name, one in definitions.items()}
        self.told.append(self._types)
        kept = {name: [status, created] for name, status, created in self._members}
        self._members = [[name, *kept.get(name, ["COMPLETE", "9"])] for name in self._types]

    def list_stack_resources(self, *_: Any) -> list[Json]:
        return [
            {"resource_name": name, "resource_status": status, "creation_time": created}
            for name, status, created in self._members
        ]

    def get_template(self, *_: Any) -> Json:
        resources = {name: {**self._definition, "type": of} for name, of in self._types.items()}
        return {"heat_template_version": "2021-04-16", "resources": resources}


def sizes(
    files: dict[str, str], parameters: Json, members: list[list[str]], ask: str, value: Any
) -> Json:
    """What Heat does to a group of these members (name, status, time of creation): the names of
    each template in turn that it updates the group's stack to, and which of them are as wanted
    now. `ask` is "update", "signal" (by `value`), or "renew" (members of the file `value`)."""
    stack = stack_of(files, parameters)
    group = stack["group"]
    definition = {**group.properties["resource"]}
    were = {name: value if ask == "renew" else definition["type"] for name, *_ in members}
    engine = Members(members, were, definition)
    group.rpc_client = lambda: engine
    group.resource_id = "the group's stack"
    group.nested_identifier = lambda: {"stack_id": "s"}
    group.update_with_template = engine.update
    group.check_update_complete = lambda _: True
    refused = _do(group, ask, value)
    return {"error": refused, "templates": engine.told}


def _do(group: Any, ask: str, value: Any) -> str:
    group.state_set = group._check_scaling_allowed = group._finished_scaling = lambda *_, **__: None
    group.action, group.status = group.CREATE, group.COMPLETE
    module("heat.scaling.scalingutil")
    module("heat.engine.notification.autoscaling").send = lambda **_: None
    try:
        if ask == "signal":
            group.adjust(value, "change_in_capacity")
        else:
            changed: Json = {"resource": {}} if ask == "renew" else {}
            group.handle_update(group.frozen_definition(), None, changed)
    except module("heat.engine.resource").NoActionRequired:
        return "no action required"
    return ""


def parse(command: str, arguments: list[str]) -> Json:
    """What a command of OpenStack's takes these arguments for; `command` is its class. `error` is
    what it says when it takes them for nothing."""
    name, _, of = command.rpartition(".")
    parser = getattr(module(name), of)(None, None).get_parser(of)
    try:
        return {"error": "", **vars(parser.parse_args(arguments))}
    except SystemExit:
        return {"error": "it does not take these arguments"}


ASKED: dict[str, Any] = {"validate": validate, "sizes": sizes, "parse": parse}


def main() -> None:
    """Answer until nobody asks."""
    warnings.simplefilter("ignore")
    logging.disable()
    answers, sys.stdout = sys.stdout, sys.stderr
    prepare()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(ASKED[name](*arguments), default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
