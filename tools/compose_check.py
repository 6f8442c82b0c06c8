"""Judges docker-compose.yml: the Compose Specification's schema, and what we promise of every container.

python -m tools.compose_check    exit 1 where something is to be done

No engine is needed. Whether the containers' commands work is for tests/integration/test_compose_processes.py.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

PROJECT = Path(__file__).resolve().parent.parent
FILE = PROJECT / "docker-compose.yml"
SCHEMA = Path(__file__).with_name("compose_schema.json")
MADE_BY_A_PERSON = "deploy/compose/secrets/"  # what deploy/compose/prepare.sh makes
_VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")
_EXACT = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?")
_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY", re.IGNORECASE)
Json = dict[str, Any]


def findings(compose: Json) -> Iterator[str]:
    """What is wrong; nothing is good. A file that is no compose file is looked at no further."""
    yield from (unlike := list(_unlike_the_specification(compose)))
    if unlike:
        return
    for name, service in compose["services"].items():
        yield from (f"{name}: {wrong}" for wrong in _service(service))
    for name, secret in compose.get("secrets", {}).items():
        if not secret.get("file", "").removeprefix("./").startswith(MADE_BY_A_PERSON):
            yield f"the secret {name} is no file below {MADE_BY_A_PERSON}"


def _unlike_the_specification(compose: Json) -> Iterator[str]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for error in sorted(Draft202012Validator(schema).iter_errors(compose), key=str):
        path = ".".join(str(part) for part in error.absolute_path)
        yield f"{path or 'it'} is not as the specification has it: {error.message[:200]}"


def _service(service: Json) -> Iterator[str]:
    yield from _image(service)
    yield from _rights(service)
    yield from _life(service)
    yield from _files(service)
    yield from _environment(service)
    for port in service.get("ports", ()):
        if not str(port).startswith("127.0.0.1:"):
            yield f"the port {port} can be reached from outside: publish it on 127.0.0.1"


def _image(service: Json) -> Iterator[str]:
    if "build" not in service and not _EXACT.fullmatch(service["image"]):
        yield f"{service['image']} is no exact version: another one may come tomorrow"


def _rights(service: Json) -> Iterator[str]:
    if (_given(service.get("user", "0")).split(":") or ["0"])[0] in ("0", "root", ""):
        yield "it runs as root: give a user by its number"
    if service.get("read_only") is not True:
        yield "its file system can be written: read_only, and tmpfs or a volume for what must be"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
        yield "it keeps rights of root: cap_drop: [ALL], and nothing added"
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "it may win rights: no-new-privileges:true"
    if not service.get("networks"):
        yield "it is in the default network, with everybody"


def _life(service: Json) -> Iterator[str]:
    restart = service.get("restart", "no")
    if restart == "no":
        yield "nobody starts it again: restart"
    if restart == "unless-stopped" and "test" not in service.get("healthcheck", {}):
        yield "nobody sees whether it does its work: healthcheck"
    for limit in ("mem_limit", "pids_limit"):
        if limit not in service:
            yield f"it may take all of the machine: {limit}"
    if not service.get("logging", {}).get("options", {}).get("max-size"):
        yield "its log may fill the disk: max-size"
    for name, condition in service.get("depends_on", {}).items():
        if condition.get("condition") == "service_started":
            yield f"it waits for {name} to run, not to work"


def _files(service: Json) -> Iterator[str]:
    for volume in service.get("volumes", ()):
        if volume["type"] != "bind":
            continue
        if not volume.get("read_only"):
            yield f"{volume['source']} can be written from inside"
        if volume.get("bind", {}).get("create_host_path") is not False:
            yield f"where {volume['source']} is missing, an empty folder would be made: create_host_path: false"
        if not (PROJECT / _given(volume["source"])).exists():
            yield f"{volume['source']} is not there"


def _environment(service: Json) -> Iterator[str]:
    for name, value in service.get("environment", {}).items():
        if _SECRET.search(name) and not str(value).startswith("/run/secrets/"):
            yield f"{name} holds a secret that whoever looks at the container reads: use a file"


def _given(text: str) -> str:
    """The text with the variables as they are where nobody sets them."""
    return _VARIABLE.sub(r"\1", text)


def main() -> int:
    """Say what is wrong."""
    wrong = list(findings(yaml.safe_load(FILE.read_text(encoding="utf-8"))))
    sys.stderr.writelines(f"{FILE.name}: {line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
