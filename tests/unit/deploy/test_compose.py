"""The container files, checked without a container engine: what they name exists, and they keep their promises."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

import cli.main
import shared.runtime.metrics  # noqa: F401 - importing it registers the metrics
from shared.database.roles import RIGHTS, role_of
from shared.settings import Settings
from tests.support.installation import ROOT, arguments, dockerfile, image_environment

PROMETHEUS = ROOT / "deploy" / "prometheus"
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE_TEXT = (ROOT / "Dockerfile").read_text()
ALERTS_TEXT = (PROMETHEUS / "alerts.yml").read_text()
COMPOSE: Any = YAML(typ="safe").load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ALERTS: list[dict[str, Any]] = [
    rule for group in YAML(typ="safe").load(ALERTS_TEXT)["groups"] for rule in group["rules"]
]

WORKERS = ("earn", "redeem", "tiers", "notify")
#: Containers that run once at each start, and end.
ONCE = {"roles", "setup"}

_DURATION = {"type": "string", "pattern": r"^(\d+h)?(\d+m)?(\d+s)?$", "minLength": 2}
_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
#: The part of the Compose specification that the file uses. Stricter in two ways: environment values are text, for
#: YAML's own true and 1 reach a container as whatever the engine prints; and ports are published to this machine only.
COMPOSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "services", "volumes"],
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
        "services": {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/service"}},
    },
    "$defs": {
        "service": {
            "type": "object",
            "required": ["image", "restart", "healthcheck", "mem_limit"],
            "additionalProperties": False,
            "properties": {
                "image": {"type": "string", "pattern": r"^[a-z0-9/-]+:v?\d[\w.]*$"},
                "build": {"type": "string"},
                "command": _TEXTS,
                "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                "depends_on": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["condition"],
                        "additionalProperties": False,
                        "properties": {"condition": {"enum": ["service_healthy", "service_completed_successfully"]}},
                    },
                },
                "healthcheck": {
                    "oneOf": [
                        {"type": "object", "additionalProperties": False, "properties": {"disable": {"const": True}}},
                        {"$ref": "#/$defs/healthcheck"},
                    ]
                },
                "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
                "volumes": {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:/[^:]+(:ro)?$"}},
                "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                "stop_grace_period": _DURATION,
                "mem_limit": {"type": "string", "pattern": r"^[1-9]\d*[mg]$"},
                "init": {"type": "boolean"},
                "read_only": {"type": "boolean"},
                "tmpfs": _TEXTS,
                "cap_drop": _TEXTS,
                "security_opt": _TEXTS,
            },
        },
        "healthcheck": {
            "type": "object",
            "required": ["test", "interval", "timeout", "retries", "start_period"],
            "additionalProperties": False,
            "properties": {
                "test": {**_TEXTS, "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}]},
                "interval": _DURATION,
                "timeout": _DURATION,
                "retries": {"type": "integer", "minimum": 1},
                "start_period": _DURATION,
                "start_interval": _DURATION,
            },
        },
    },
}


def copied() -> list[str]:
    """Return what is copied from the repository (not from another stage)."""
    return [source for rest in arguments("COPY") if not rest.startswith("--from") for source in rest.split()[:-1]]


def mounted() -> set[str]:
    """Return the sources of all volumes: names, or paths that begin with a dot."""
    return {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}


def loyalty_commands() -> list[str]:
    words = r"(?<![\w/-])loyalty ([a-z][a-z-]*(?: [a-z][a-z-]*)*)"
    return sorted({found for text in (COMPOSE_TEXT, DOCKERFILE_TEXT, ALERTS_TEXT) for found in re.findall(words, text)})


def exposed_metrics() -> set[str]:
    """Return the names of all series, also of those that have no value yet."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for family in REGISTRY.collect() for suffix in suffixes.get(family.type, ("",))}


def test_compose_file_follows_the_specification() -> None:
    jsonschema.validate(COMPOSE, COMPOSE_SCHEMA, cls=jsonschema.Draft202012Validator)


def test_what_runs_on_has_a_health_check_and_is_restarted() -> None:
    lasting = {name: service for name, service in SERVICES.items() if name not in ONCE}
    assert lasting.keys() == {"kafka", "postgres", *WORKERS, "prometheus"}
    for name, service in lasting.items():
        assert "test" in service["healthcheck"], name
        assert service["restart"] == "unless-stopped", name


def test_what_a_service_waits_for_can_come_about() -> None:
    for service in SERVICES.values():
        for name, dependency in service.get("depends_on", {}).items():
            if dependency["condition"] == "service_healthy":
                assert "test" in SERVICES[name]["healthcheck"]
            else:
                assert SERVICES[name]["restart"] == "no", "a service that is restarted never completes"


def test_volumes_are_declared_and_mounted_files_exist() -> None:
    paths = {source for source in mounted() if source.startswith(".")}
    assert mounted() - paths == COMPOSE["volumes"].keys()
    for path in paths:
        assert (ROOT / path).exists(), path
    assert (PROMETHEUS / "prometheus.yml").is_file(), "where the image looks for its configuration"


def test_every_variable_is_a_setting() -> None:
    known = {f"LOYALTY_{name.upper()}" for name in Settings.model_fields}
    known |= {f"LOYALTY_{name.upper()}_PASSWORD" for name in ("postgres", *WORKERS)}
    used = set(re.findall(r"LOYALTY_[A-Z_]+", COMPOSE_TEXT + DOCKERFILE_TEXT))
    assert used
    assert used <= known


@pytest.mark.parametrize("service", ["setup", *WORKERS])
def test_settings_are_valid_and_meet_in_the_middle(service: str) -> None:
    variables = {**image_environment(), **SERVICES[service]["environment"]}
    values = {name[8:].lower(): value for name, value in variables.items() if name.startswith("LOYALTY_")}
    settings = Settings.model_validate(values)
    kafka, postgres = SERVICES["kafka"]["environment"], SERVICES["postgres"]["environment"]
    assert settings.kafka_idempotence
    assert f"//{settings.kafka_brokers}," in kafka["KAFKA_ADVERTISED_LISTENERS"] + ","
    assert int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) >= 8_500_000
    # setup owns the tables; a service has a role of its own, with the password that `roles` gives it.
    user = postgres["POSTGRES_USER"] if service == "setup" else role_of(settings.database_schema, service)
    assert settings.database_url.get_secret_value() == f"postgresql://{user}@postgres:5432/{postgres['POSTGRES_DB']}"
    roles = SERVICES["roles"]["environment"]
    own = postgres["POSTGRES_PASSWORD"] if service == "setup" else roles[f"LOYALTY_{service.upper()}_PASSWORD"]
    assert variables["PGPASSWORD"] == own


def test_roles_are_made_for_the_services_that_run_and_before_rights_are_granted() -> None:
    script = (ROOT / "deploy/postgres/roles.sql").read_text()
    assert set(WORKERS) == set(RIGHTS)
    assert set(re.findall(r"^\\getenv \w+ (LOYALTY_\w+)", script, flags=re.M)) == {
        f"LOYALTY_{name.upper()}_PASSWORD" for name in WORKERS
    }
    roles, postgres = SERVICES["roles"], SERVICES["postgres"]["environment"]
    assert (roles["environment"]["PGUSER"], roles["environment"]["PGDATABASE"]) == (
        postgres["POSTGRES_USER"], postgres["POSTGRES_DB"],
    )  # fmt: skip
    assert roles["environment"]["PGPASSWORD"] == postgres["POSTGRES_PASSWORD"]
    (mounted_as,) = [volume.split(":")[1] for volume in roles["volumes"]]
    assert f"--file={mounted_as}" in roles["command"]
    assert SERVICES["setup"]["depends_on"]["roles"] == {"condition": "service_completed_successfully"}


def test_no_secret_is_written_down() -> None:
    hidden = re.compile("password|secret|token|credential|apikey", re.IGNORECASE)
    required = re.compile(r"\$\{LOYALTY_(\w+)_PASSWORD:\?[^}]+\}")
    for name, service in SERVICES.items():
        secrets = [value for key, value in service.get("environment", {}).items() if hidden.search(key)]
        owners = {match[1].lower() for value in secrets if (match := required.fullmatch(value))}
        assert len(owners) == len(secrets), "a password comes from outside, or not at all"
        expected = {"postgres": {"postgres"}, "setup": {"postgres"}, "roles": {"postgres", *WORKERS}}
        assert owners == expected.get(name, {name} if name in WORKERS else set()), f"{name} knows what it need not"
    assert not [rest for rest in arguments("ENV") + arguments("ARG") if hidden.search(rest)]
    assert not re.search(r"://[^/\s@]*:[^/\s@]*@", COMPOSE_TEXT + DOCKERFILE_TEXT), "a password in a URL"


def test_commands_named_exist() -> None:
    commands = loyalty_commands()
    assert {"database migrate", "topics create"} <= set(commands)
    for line in commands:
        command: Any = typer.main.get_command(cli.main.app)
        for word in line.split():
            if not hasattr(command, "commands"):
                break  # the rest are its arguments
            assert word in command.commands, f"loyalty {line}"
            command = command.commands[word]
        assert not hasattr(command, "commands"), f"loyalty {line} needs a subcommand"


def test_program_file_named_exists() -> None:
    (file,) = re.findall(r"loyalty program publish (\S+)", COMPOSE_TEXT)
    assert (ROOT / file).is_file()
    assert f"{Path(file).parent}/" in copied()


def test_the_image_runs_what_compose_runs() -> None:
    (command,) = arguments("CMD")
    assert YAML(typ="safe").load(command) == SERVICES["earn"]["command"]


@pytest.mark.parametrize("service", WORKERS)
def test_worker_named_exists(service: str) -> None:
    assert SERVICES[service]["command"] == ["faust", "--quiet", "-A", f"services.{service}.app", "worker"]
    # Not imported: an app that is made would set this process's event loop and logs.
    spec = importlib.util.find_spec(f"services.{service}.app")
    assert spec is not None
    assert spec.origin is not None
    assert "\napp = create_app(" in Path(spec.origin).read_text()


def test_workers_are_alike_but_for_their_name() -> None:
    alike = [
        {key: value for key, value in SERVICES[service].items() if key not in {"command", "environment"}}
        for service in WORKERS
    ]
    assert all(one == alike[0] for one in alike)
    assert {frozenset(SERVICES[service]["environment"]) for service in WORKERS} == {
        frozenset({"LOYALTY_KAFKA_BROKERS", "LOYALTY_KAFKA_IDEMPOTENCE", "LOYALTY_DATABASE_URL", "PGPASSWORD"})
    }


def test_all_speak_of_one_web_port() -> None:
    port = image_environment()["LOYALTY_WEB_PORT"]
    assert image_environment()["LOYALTY_WEB_HOST"] == "0.0.0.0"
    assert arguments("EXPOSE") == [port]
    assert "LOYALTY_WEB_PORT" not in COMPOSE_TEXT, "it would have to be followed below"
    assert "http://127.0.0.1:${LOYALTY_WEB_PORT}/healthz" in arguments("HEALTHCHECK")[0]
    assert re.findall(r":(\d+)/(?:healthz|readyz)", COMPOSE_TEXT) == [port]
    jobs = YAML(typ="safe").load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    for job in jobs:
        (found,) = job["dns_sd_configs"]
        assert (found["names"], str(found["port"])) == ([job["job_name"]], port)
    assert tuple(job["job_name"] for job in jobs) == WORKERS
    assert set(re.findall(r'job="(\w+)"', ALERTS_TEXT)) == set(WORKERS)
    assert set(re.findall(r'job=~"([^"]+)"', ALERTS_TEXT)) == {"|".join(WORKERS)}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_watches_metrics_that_exist_and_says_what_to_do(alert: dict[str, Any]) -> None:
    used = set(re.findall(r"loyalty_\w+", alert["expr"]))
    assert used <= exposed_metrics()
    assert used or "up{" in alert["expr"]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert len(alert["annotations"]["summary"]) > 20
    assert len(alert["annotations"]["description"]) > 100


def test_descriptions_name_metrics_that_exist() -> None:
    families = {family.name for family in REGISTRY.collect()}
    for alert in ALERTS:
        assert set(re.findall(r"loyalty_\w+", alert["annotations"]["description"])) <= families | exposed_metrics()


def test_image_ends_as_a_user_that_is_not_root() -> None:
    stages = [at for at, (name, _) in enumerate(dockerfile()) if name == "FROM"]
    last = dockerfile()[stages[-1] :]
    user = [rest for name, rest in last if name == "USER"][-1]
    uid, gid = user.split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    added = " ".join(rest for name, rest in last if name == "RUN")
    assert f"--uid {uid}" in added
    assert f"--gid {gid}" in added
    assert not re.search(r"apt-get|\bpip\b|gcc", added), "nothing is built or installed in the runtime image"


def test_copied_files_exist_and_are_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in copied():
        assert (ROOT / source).exists(), source
    assert kept == set(copied())


def test_dependencies_are_installed_by_hash() -> None:
    installs = [rest for rest in arguments("RUN") if " install " in rest and "--requirement" in rest]
    assert len(installs) == 2
    assert all("--require-hashes" in rest for rest in installs)
