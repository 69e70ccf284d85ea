"""The wheel, built and installed as in the Dockerfile: what the image and the compose file run, runs from it."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest
from ruamel.yaml import YAML

from devstack.embedded.process import free_port
from tests.support.deployment import Deployment
from tests.support.events import event, purchase
from tests.support.installation import ROOT, Installation, arguments, image_environment, install

pytestmark = pytest.mark.xdist_group("wheel")

COMPOSE: Any = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
WORKERS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("loyalty")}
SETUP = WORKERS.pop("setup")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("wheel"))


def test_every_module_is_in_the_wheel_and_nothing_else(installed: Installation) -> None:
    (site,) = installed.environment.glob("lib/python3.*/site-packages")
    expected = {
        path.relative_to(ROOT)
        for package in ("cli", "devstack", "programs", "services", "shared")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = {
        path.relative_to(site)
        for path in site.rglob("*")
        if path.is_file() and path.parent != site and not path.parent.name.endswith(".dist-info")
        and "__pycache__" not in path.parts and "licenses" not in path.parts
    }  # fmt: skip
    assert found == expected


def test_it_runs_without_the_checkout(installed: Installation) -> None:
    where = installed.run("python", "-c", "import cli, services, shared; print(shared.__file__)")
    assert where.startswith(str(installed.environment))
    assert "rehearse" in installed.run("loyalty", "--help")
    # By its path, which the image has in its working directory, and by its name, which needs no folder.
    for program in ("programs/fresh-market.yaml", "beauty-insider"):
        assert "no mistakes found" in installed.run("loyalty", "program", "check", program)


def test_all_apps_can_be_imported(installed: Installation) -> None:
    """Those that compose names, in the image's environment."""
    assert set(WORKERS) == {"earn", "redeem", "tiers", "notify"}
    apps = [service["command"][service["command"].index("-A") + 1] for service in WORKERS.values()]
    checks = [f"import {app}; assert {app}.app.conf.web_host == '0.0.0.0'" for app in apps]
    installed.run("python", "-c", "\n".join(checks), env=image_environment())


def test_the_build_back_end_has_its_hashes() -> None:
    """The Dockerfile cuts it out of the lock file; nothing else of that file may be left."""
    (cut,) = [rest for rest in arguments("RUN") if rest.startswith("sed ")]
    command = cut.partition(" > ")[0].replace("requirements-dev.lock", shlex.quote(str(ROOT / "requirements-dev.lock")))
    lines = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith("setuptools==")
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert len(lines) > 1


async def test_the_image_sets_up_and_earn_turns_a_purchase_into_points(
    installed: Installation, deployment: Deployment
) -> None:
    """Compose's setup command word for word, then the image's own command and its health check."""
    (command,) = arguments("CMD")
    worker = json.loads(command)
    assert worker == WORKERS["earn"]["command"]
    schema = f"{deployment.settings.database_schema}w"
    port = free_port()
    changes = {"LOYALTY_DATABASE_SCHEMA": schema, "LOYALTY_TOPIC_PREFIX": schema, "LOYALTY_WEB_PORT": str(port)}
    env = {**image_environment(), **deployment.environment(), **changes}
    other = Deployment(deployment.servers, schema)
    assert "published version 1" in await asyncio.to_thread(installed.run, *SETUP["command"], env=env)
    running = installed.start(*worker, env=env, log=installed.workdir.parent / "earn.log")
    try:
        await other.send([event(purchase("o-1", "ada", cents=(1299,)))])
        await other.idle()
        # fresh-market: a point a dollar, and as much again for the shops' own brand: 12 + 12 for 12.99.
        rows = await other.rows("select points from entry join account using (account) where member = 'ada'")
        assert rows == [(12,), (12,)]
        ready = json.loads(await asyncio.to_thread(_get, port, "/readyz"))
        assert ready == {"broker": True, "database": True, "progress": True}
        for check in (health_check_of_the_image(), *(one["healthcheck"]["test"][1:] for one in WORKERS.values())):
            words = [word.replace("6066", str(port)) for word in check]
            await asyncio.to_thread(installed.run, *words, env=changes)
    finally:
        running.terminate()
        running.wait(30)
        await other.close()


def health_check_of_the_image() -> list[str]:
    (check,) = arguments("HEALTHCHECK")
    command = check.partition("CMD ")[2].replace("${LOYALTY_WEB_PORT}", image_environment()["LOYALTY_WEB_PORT"])
    return shlex.split(command)


def _get(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        return refused.read().decode()
