"""The image and the manifests of Kubernetes agree with each other, with its schemas, and with the settings.

The base and the components are checked as they stand. The overlays are built, and checked again as a whole,
where `kustomize` or `kubectl` is on PATH; no cluster is needed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from ff_core.settings import ServiceSettings
from ff_gateway.settings import GatewaySettings
from ff_scanners.settings import ScannerSettings
from ff_scheduler.settings import SchedulerSettings

Manifest = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
FILES = sorted(K8S.rglob("*.yaml"))
KUSTOMIZATIONS = [path for path in FILES if path.name == "kustomization.yaml"]
RESOURCES = [path for path in FILES if path.name != "kustomization.yaml"]

SETTINGS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "scanners": ScannerSettings,
    "scheduler": SchedulerSettings,
}
#: Files are named by the kind, in the short form where kubectl has one that people say.
SHORT = {"HorizontalPodAutoscaler": "hpa", "PodDisruptionBudget": "pdb"}
#: Of the Prometheus Operator, so not among the schemas of Kubernetes.
CUSTOM = {"PodMonitor", "PrometheusRule"}
#: The first release in which everything used here is stable, and the newest whose schemas are installed.
RELEASES = ("1.30", kubernetes_validate.latest_version())
#: What the gateway, which drains longest, needs to close after its drain.
CLOSING_S = 5


def label(path: Path) -> str:
    return str(path.relative_to(K8S))


def load(path: Path) -> Manifest:
    manifest: Manifest = yaml.safe_load(path.read_text())
    return manifest


def literals(generator: Manifest) -> dict[str, str]:
    return dict(one.split("=", 1) for one in generator["literals"])


def builder() -> list[str]:
    """The command that builds an overlay; empty without one."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    return ["kubectl", "kustomize"] if shutil.which("kubectl") else []


@cache
def manifests(name: str) -> list[Manifest]:
    """The base and the components as they stand, or a built overlay."""
    if name == "sources":
        generated = [
            {"kind": "ConfigMap", "metadata": {"name": one["name"]}, "data": literals(one)}
            for one in load(K8S / "base" / "kustomization.yaml")["configMapGenerator"]
        ]
        return generated + [load(path) for path in RESOURCES if "overlays" not in path.parts]
    command = [*builder(), str(K8S / "overlays" / name)]
    built = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(built))


@pytest.fixture(params=["sources", "dev", "prod"])
def stack(request: pytest.FixtureRequest) -> list[Manifest]:
    if request.param != "sources" and not builder():
        pytest.skip("neither kustomize nor kubectl is on PATH")
    return manifests(request.param)


def of_kind(stack: list[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in stack if one["kind"] in kinds]


def services(stack: list[Manifest]) -> dict[str, Manifest]:
    """The pod of each of our services, by the name of the service."""
    pods = {
        one["metadata"]["name"].removeprefix("flowfabric-"): one["spec"]["template"]["spec"]
        for one in of_kind(stack, "Deployment")
    }
    assert sorted(pods) == sorted(SETTINGS)
    return pods


def only_container(pod: Manifest) -> Manifest:
    (container,) = pod["containers"]
    assert isinstance(container, dict)
    return container


def environment(stack: list[Manifest], container: Manifest) -> dict[str, str]:
    """What the process would see, with samples for what only a cluster knows."""
    config = {one["metadata"]["name"]: one["data"] for one in of_kind(stack, "ConfigMap")}
    samples = {"metadata.name": "pod-0", "status.podIP": "192.0.2.7", "secret": "opened" * 6}
    seen: dict[str, str] = {}
    for source in container["envFrom"]:
        seen |= config[source["configMapRef"]["name"]]
    for variable in container["env"]:
        origin = variable.get("valueFrom", {})
        key = "secret" if "secretKeyRef" in origin else origin.get("fieldRef", {}).get("fieldPath")
        value = samples[key] if key else variable["value"]
        seen[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: seen[found[1]], value)
    return seen


def port_of(container: Manifest, name: str) -> int:
    (port,) = [one["containerPort"] for one in container["ports"] if one["name"] == name]
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize("path", RESOURCES, ids=label)
def test_a_file_holds_one_kind_and_is_named_by_it(path: Path) -> None:
    (manifest,) = yaml.safe_load_all(path.read_text())

    assert path.stem == SHORT.get(manifest["kind"], manifest["kind"].lower())


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=label)
def test_a_kustomization_lists_its_folder_and_nothing_that_is_missing(path: Path) -> None:
    listed = [*load(path).get("resources", []), *load(path).get("components", [])]

    beside = {one.name for one in path.parent.glob("*.yaml")} - {path.name}
    assert {name for name in listed if name.endswith(".yaml")} == beside
    folders = [path.parent / name for name in listed if not name.endswith(".yaml")]
    assert [folder for folder in folders if not (folder / "kustomization.yaml").is_file()] == []


def test_every_folder_of_the_base_and_every_component_is_used() -> None:
    used = {
        (path.parent / name).resolve()
        for path in KUSTOMIZATIONS
        for name in [*load(path).get("resources", []), *load(path).get("components", [])]
    }

    parts = {path.parent for path in KUSTOMIZATIONS if path.parent.parent.name != "overlays"}
    assert parts <= used


@pytest.mark.parametrize("release", RELEASES)
def test_manifests_follow_the_schemas_of_kubernetes(stack: list[Manifest], release: str) -> None:
    checked = [one for one in stack if one["kind"] not in CUSTOM and "apiVersion" in one]

    assert len(checked) > 15
    for manifest in checked:
        kubernetes_validate.validate(manifest, release, strict=True)


def test_every_variable_named_is_a_setting() -> None:
    page = set(re.findall(r"^\| `(FF_\w+)`", (ROOT / "docs/reference/settings.md").read_text(), re.M))

    named = {name for path in FILES for name in re.findall(r"\bFF_\w+", path.read_text())}
    assert len(named) > 10
    assert named <= page


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_takes_what_its_pod_sets(
    stack: list[Manifest], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = only_container(services(stack)[service])
    seen = environment(stack, container)
    for name, value in seen.items():
        monkeypatch.setenv(name, value)

    settings = SETTINGS[service]()  # refuses bad values, and an open door without a token
    known = {f"FF_{name}".upper() for name in SETTINGS[service].model_fields}
    assert all(f"$({name})" in str(container["env"]) for name in seen.keys() - known)
    assert settings.replica_id == "pod-0"
    assert container["args"] == [f"ff_{service}"]


def test_services_listen_where_their_ports_say(stack: list[Manifest]) -> None:
    wanted = {
        "gateway": {"FF_GRPC_ADDR": "grpc", "FF_LISTEN_ADDR": "http"},
        "scanners": {"FF_OPS_ADDR": "http"},
        "scheduler": {"FF_DISPATCH_ADDR": "dispatch", "FF_OPS_ADDR": "http"},
    }
    for service, pod in services(stack).items():
        container = only_container(pod)
        seen = environment(stack, container)
        for variable, port in wanted[service].items():
            assert seen[variable] == f"0.0.0.0:{port_of(container, port)}"
    scheduler = only_container(services(stack)["scheduler"])
    advertised = environment(stack, scheduler)["FF_DISPATCH_ADVERTISE_ADDR"]
    assert advertised == f"192.0.2.7:{port_of(scheduler, 'dispatch')}"


def test_every_pod_has_its_three_probes(stack: list[Manifest]) -> None:
    for service, pod in services(stack).items():
        container = only_container(pod)
        probes = [container[f"{one}Probe"] for one in ("startup", "liveness", "readiness")]
        if service == "gateway":
            assert [probe["grpc"] for probe in probes] == [{"port": port_of(container, "grpc")}] * 3
        else:
            assert [probe["httpGet"]["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
            assert {probe["httpGet"]["port"] for probe in probes} == {"http"}


def test_every_pod_is_hardened_and_says_what_it_needs(stack: list[Manifest]) -> None:
    for workload in of_kind(stack, "Deployment", "StatefulSet"):
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        container = only_container(pod)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


def test_a_pod_is_given_longer_than_its_drain(stack: list[Manifest]) -> None:
    for pod in services(stack).values():
        drain_ms = int(environment(stack, only_container(pod))["FF_SHUTDOWN_GRACE_MS"])
        assert pod["terminationGracePeriodSeconds"] >= drain_ms / 1000 + CLOSING_S


def test_the_services_are_one_image(stack: list[Manifest]) -> None:
    images = {only_container(pod)["image"] for pod in services(stack).values()}

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert images < {f"flowfabric:{version}", "flowfabric:dev"}
    assert len(images) == 1


def test_selectors_and_ports_lead_to_a_pod(stack: list[Manifest]) -> None:
    pods = [one["spec"]["template"] for one in of_kind(stack, "Deployment", "StatefulSet")]

    def selected(labels: dict[str, str]) -> list[Manifest]:
        return [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]

    def ports(pod: Manifest) -> set[str]:
        return {port["name"] for port in only_container(pod["spec"])["ports"]}

    for service in of_kind(stack, "Service"):
        (pod,) = selected(service["spec"]["selector"])
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports(pod)
    for budget in of_kind(stack, "PodDisruptionBudget"):
        assert len(selected(budget["spec"]["selector"]["matchLabels"])) == 1
    for policy in of_kind(stack, "NetworkPolicy"):
        guarded = selected(policy["spec"]["podSelector"]["matchLabels"])
        named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert guarded
        assert all(named <= ports(pod) for pod in guarded)
    for monitor in of_kind(stack, "PodMonitor"):
        scraped = selected(monitor["spec"]["selector"]["matchLabels"])
        assert len(scraped) == len(SETTINGS)
        assert all(
            {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} <= ports(pod) for pod in scraped
        )


def test_valkey_is_let_out_to_where_the_settings_say(stack: list[Manifest]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(stack, "NetworkPolicy")}
    for service, pod in services(stack).items():
        seen = environment(stack, only_container(pod))
        rules = policies[f"flowfabric-{service}"]["egress"]
        assert int(seen["FF_PORT"]) in {port["port"] for rule in rules for port in rule["ports"]}


def test_the_gateway_has_no_virtual_address(stack: list[Manifest]) -> None:
    (service,) = [one for one in of_kind(stack, "Service") if one["metadata"]["name"] == "flowfabric-gateway"]

    assert service["spec"]["clusterIP"] == "None"


def test_only_the_overlay_for_development_makes_up_a_token() -> None:
    assert [path for path in RESOURCES if load(path)["kind"] == "Secret"] == []
    makers = [path for path in KUSTOMIZATIONS if "secretGenerator" in load(path)]
    assert [label(path) for path in makers] == ["overlays/dev/kustomization.yaml"]
    (generator,) = load(makers[0])["secretGenerator"]
    for secret in literals(generator).values():
        assert secret.startswith("dev-only-")
    made_up = {"waitpoint_hmac_secret": literals(generator)["waitpoint-secret"]}
    assert GatewaySettings.model_validate(made_up).waitpoint_secrets() == tuple(made_up.values())


@pytest.mark.parametrize("service", ["gateway", "scheduler"])
def test_the_token_comes_from_a_secret(stack: list[Manifest], service: str) -> None:
    variables = {one["name"]: one for one in only_container(services(stack)[service])["env"]}
    secrets = {one["metadata"]["name"]: one["data"] for one in of_kind(stack, "Secret")}

    reference = variables["FF_API_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert reference["key"] == "api-token"
    if secrets:
        assert reference["key"] in secrets[reference["name"]]
    else:
        assert reference["name"] == "flowfabric"


def test_the_gateway_alone_has_the_secret_of_waitpoint_tokens(stack: list[Manifest]) -> None:
    found = {
        service: one["valueFrom"]["secretKeyRef"]
        for service, pod in services(stack).items()
        for one in only_container(pod)["env"]
        if one["name"] == "FF_WAITPOINT_HMAC_SECRET"
    }

    assert found == {"gateway": {"name": found["gateway"]["name"], "key": "waitpoint-secret"}}
    for secret in of_kind(stack, "Secret"):
        assert "waitpoint-secret" in secret["data"]


def test_alerts_ask_for_metrics_that_exist(stack: list[Manifest]) -> None:
    page = set(re.findall(r"^\| `(ff_\w+)`", (ROOT / "docs/reference/metrics.md").read_text(), re.M))
    partitions = {one["data"]["FF_PARTITIONS"] for one in of_kind(stack, "ConfigMap")}
    for manifest in of_kind(stack, "PrometheusRule"):
        rules = [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]
        named = {name for rule in rules for name in re.findall(r"\bff_\w+", rule["expr"])}
        assert named
        assert named <= page
        owned = [rule["expr"] for rule in rules if "owned_partitions" in rule["expr"]]
        assert {expression.rpartition("< ")[2] for expression in owned} == partitions


def test_the_image_runs_any_service_and_never_as_root() -> None:
    lines = re.findall(r"^(FROM|USER|ENTRYPOINT) (.+)$", DOCKERFILE, re.M)

    assert [word for word, _ in lines] == ["FROM", "FROM", "USER", "ENTRYPOINT"]
    assert lines[0][1].split()[0] == lines[1][1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", lines[2][1])
    assert lines[3][1] == '["python", "-m"]'
    assert "-c constraints.txt '.[server]'" in DOCKERFILE


def test_the_image_is_built_from_all_that_the_wheel_holds_and_nothing_private() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert ignored[1] == "*"
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert let_in == {package.split("/")[0] for package in wheel["packages"]} | {
        "README.md",
        "constraints.txt",
        "pyproject.toml",
    }


def test_the_pod_runs_as_the_user_of_the_image(stack: list[Manifest]) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.M)

    assert user
    for pod in services(stack).values():
        context = pod["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
