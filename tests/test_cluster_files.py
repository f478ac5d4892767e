"""cluster.yaml, the container file and the Kubernetes manifests: valid, closed, from nothing."""

from __future__ import annotations

import copy
import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import raydance
from raydance.cluster.session import SERVE_ENVIRONMENT

ROOT = Path(__file__).parents[1]
LAUNCHER = ROOT / "cluster.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
GUIDE = ROOT / "docs" / "guides" / "operator.md"
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
IMAGE = f"YOUR_REGISTRY/raydance:{raydance.__version__}"
# Of the RayService's proxies, the one exception: a test below sees that keys and a policy close it.
PROXY = "host: 0.0.0.0"
RAY = re.search(r"^ARG RAY_VERSION=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def launcher() -> dict:
    return yaml.safe_load(LAUNCHER.read_text())


def documents() -> list[dict]:
    return [found for path in MANIFESTS for found in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str, name: str | None = None) -> dict:
    (found,) = [
        document
        for document in documents()
        if document["kind"] == kind and name in (None, document["metadata"]["name"])
    ]
    return found


def served() -> dict:
    """The Serve configuration of the RayService."""
    return yaml.safe_load(of_kind("RayService")["spec"]["serveConfigV2"])


CLUSTERS = {
    "RayCluster": lambda: of_kind("RayCluster")["spec"],
    "RayJob": lambda: of_kind("RayJob")["spec"]["rayClusterSpec"],
    "RayService": lambda: of_kind("RayService")["spec"]["rayClusterConfig"],
}


def values(data, key: str) -> list:
    """Every value under a key, however deep."""
    if isinstance(data, list):
        return [value for item in data for value in values(item, key)]
    if not isinstance(data, dict):
        return []
    own = [data[key]] if key in data else []
    return own + [value for item in data.values() for value in values(item, key)]


def uncommented(path: Path) -> str:
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in path.read_text().splitlines())
    return "\n".join(lines)


def ray_schema() -> dict:
    import ray.autoscaler

    return json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())


def test_the_launcher_file_fits_the_schema_that_ray_ships(launcher):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(launcher, ray_schema())


def test_the_schema_would_refuse_a_wrong_key(launcher):
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(launcher | {"min_worker": 1}, ray_schema())


def test_the_launcher_file_passes_what_ray_up_does_first(launcher):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(launcher))
    validate_config(prepared)
    assert prepared["head_node_type"] == "head"
    # Ray's defaults for AWS listen everywhere and install a nightly build: all are overridden.
    assert "0.0.0.0" not in json.dumps(prepared)
    assert "pip install" not in json.dumps(prepared)


def test_the_launchers_pools_start_from_nothing_and_the_head_does_no_work(launcher):
    nodes = launcher["available_node_types"]
    assert set(nodes) == {"head", "cpu_pool", "gpu_pool"}
    assert nodes["head"]["resources"] == {"CPU": 0}
    for name in ("cpu_pool", "gpu_pool"):
        assert nodes[name]["min_workers"] == 0 < nodes[name]["max_workers"], name
    assert launcher["max_workers"] >= sum(nodes[n]["max_workers"] for n in ("cpu_pool", "gpu_pool"))


def test_the_launcher_asks_for_the_token_and_listens_on_the_head_alone(launcher):
    assert "-e RAY_AUTH_MODE=token" in launcher["docker"]["run_options"]
    assert launcher["file_mounts"]["/home/ray/.ray/auth_token"] == "~/.ray/auth_token"
    (start,) = [c for c in launcher["head_start_ray_commands"] if "ray start" in c]
    assert "--dashboard-host=127.0.0.1" in start
    for node in launcher["available_node_types"].values():  # else ssh is open to everyone
        assert node["node_config"]["SecurityGroupIds"] == ["YOUR_SECURITY_GROUP"]


def test_one_image_everywhere(launcher):
    assert launcher["docker"]["image"] == IMAGE
    images = values(documents(), "image")
    assert len(images) == 10 and set(images) == {IMAGE}
    assert f"-t {IMAGE}" in DOCKERFILE.read_text()
    assert f"-t {IMAGE}" in GUIDE.read_text()


def test_the_container_is_not_root_and_asks_for_a_token():
    text = uncommented(DOCKERFILE)
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users and users[-1] == "ray"
    assert "RAY_AUTH_MODE=token" in text
    assert re.search(r"^ARG TORCH=cpu$", text, re.MULTILINE)


def test_the_container_lets_processes_of_a_service_call_each_other():
    text = uncommented(DOCKERFILE)
    for name, value in SERVE_ENVIRONMENT.items():
        assert f"{name}={value}" in text


def test_the_container_gets_the_torch_that_the_project_allows():
    pinned = re.search(r'"(torch[^"]+)"', uncommented(DOCKERFILE))
    assert pinned and f'"{pinned[1]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", [LAUNCHER, DOCKERFILE, *MANIFESTS], ids=lambda p: p.name)
def test_nothing_listens_wider_than_it_must(path):
    text = uncommented(path)
    if path.name == "rayservice.yaml":
        text = text.replace(PROXY, "", 1)
    for word in ("0.0.0.0", "LoadBalancer", "NodePort", "hostPort", "hostNetwork", "privileged"):
        assert word not in text, word


@pytest.mark.parametrize("kind", CLUSTERS)
def test_manifests_hold_what_kuberays_v1_requires(kind):
    spec = CLUSTERS[kind]()
    assert of_kind(kind)["apiVersion"] == "ray.io/v1"
    assert RAY and spec["rayVersion"] == RAY[1]
    assert spec["authOptions"] == {"mode": "token"}
    head = spec["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP"
    assert head["rayStartParams"] == {"num-cpus": "0"}
    groups = spec["workerGroupSpecs"]
    assert [group["groupName"] for group in groups] == ["cpu-pool", "gpu-pool"]
    for group in [head, *groups]:
        pod = group["template"]["spec"]
        labels = {"app": "raydance"}  # network.yaml's
        if kind == "RayService" and group is not head:
            labels["raydance-serves"] = "true"
        assert group["template"]["metadata"]["labels"] == labels
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("kind", CLUSTERS)
def test_kubernetes_pools_start_from_nothing_but_for_a_service(kind):
    spec = CLUSTERS[kind]()
    assert spec["enableInTreeAutoscaling"] is True
    fewest = {"cpu-pool": 1 if kind == "RayService" else 0, "gpu-pool": 0}
    for group in spec["workerGroupSpecs"]:
        assert isinstance(group["rayStartParams"], dict)
        assert group["replicas"] == group["minReplicas"] == fewest[group["groupName"]]
        assert group["minReplicas"] < group["maxReplicas"]
    gpus = spec["workerGroupSpecs"][1]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert gpus["nvidia.com/gpu"] == "1"


def test_the_training_job_is_a_command_that_exists():
    from typer.testing import CliRunner

    from raydance.cli import app

    spec = of_kind("RayJob")["spec"]
    words = spec["entrypoint"].split()
    assert words[:2] == ["raydance", "train"] and "--gpu" in words
    told = CliRunner().invoke(app, [words[1], "--help"]).output
    assert all(word in told for word in words if word.startswith("--"))
    assert spec["shutdownAfterJobFinishes"] is True
    submitter = spec["submitterPodTemplate"]
    assert submitter["metadata"]["labels"] == {"app": "raydance"}
    assert submitter["spec"]["restartPolicy"] == "Never"  # Kubernetes' default fits no Job


def test_the_service_is_that_of_the_serve_file():
    from ray.serve.schema import ServeDeploySchema

    from raydance import config
    from raydance.cluster.serving import ServiceConfig

    ours, theirs = served(), yaml.safe_load((ROOT / "deploy" / "serve.yaml").read_text())
    ServeDeploySchema.model_validate(ours)
    (application,), (plain,) = ours["applications"], theirs["applications"]
    module, _, attribute = application["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))
    wanted = config.from_dict(ServiceConfig, application["args"], "args")
    assert wanted.page and all(run.run.startswith("/mnt/raydance/") for run in wanted.runs)
    del application["args"]["keys_file"], ours["http_options"]["host"]
    del theirs["http_options"]["host"]
    assert application == plain and ours == theirs


def test_the_smallest_service_fits_in_the_smallest_pool():
    from raydance.cluster.serve import KINDS
    from raydance.config import parse_range

    args = served()["applications"][0]["args"]
    parts = len(KINDS) + 1  # and the ingress
    fewest, most = parse_range("replicas", args["replicas"])
    pool = CLUSTERS["RayService"]()["workerGroupSpecs"][0]
    node = int(pool["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert parts * args["cpus"] * fewest <= pool["minReplicas"] * node
    assert parts * args["cpus"] * most <= pool["maxReplicas"] * node


def test_the_service_is_behind_keys_and_a_policy_where_it_listens_widely():
    assert served()["http_options"]["host"] == PROXY.split()[1]
    keys = Path(served()["applications"][0]["args"]["keys_file"])
    cluster = CLUSTERS["RayService"]()
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = group["template"]["spec"]  # any of them may build the application
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "keys"]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "keys"]
        assert mount["mountPath"] == str(keys.parent) and mount["readOnly"] is True
        assert volume["secret"] == {"secretName": "raydance-keys", "defaultMode": 0o440}
    policy = of_kind("NetworkPolicy", "raydance-api")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    labels = cluster["workerGroupSpecs"][0]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["ingress"] == [
        {
            "from": [{"podSelector": {"matchLabels": {"raydance-client": "true"}}}],
            "ports": [{"protocol": "TCP", "port": served()["http_options"]["port"]}],
        }
    ]


def test_a_changed_cluster_takes_over_once_it_is_ready():
    spec = of_kind("RayService")["spec"]
    assert spec["upgradeStrategy"] == {"type": "NewCluster"}
    assert spec["rayClusterDeletionDelaySeconds"] > served()["http_options"]["request_timeout_s"]
    assert spec["excludeHeadPodFromServeSvc"] is True
    assert "readinessProbe" not in json.dumps(spec)  # KubeRay's own asks Serve; another would not
    # KubeRay names Services after both, such as NAME-head-svc.
    assert of_kind("RayService")["metadata"]["name"] != of_kind("RayCluster")["metadata"]["name"]


def test_the_guide_says_how_to_reach_the_service():
    text = GUIDE.read_text()
    name = of_kind("RayService")["metadata"]["name"]
    assert f"service/{name}-serve-svc {served()['http_options']['port']}" in text
    assert "secret generic raydance-keys" in text and "deploy/kubernetes/rayservice.yaml" in text


def test_the_container_builds_the_page_and_copies_every_package():
    text = uncommented(DOCKERFILE)
    assert re.search(r"^FROM node:\S+ AS page$", text, re.MULTILINE)
    assert re.search(r"^COPY .*--from=page /page/dist raydance/web/dist$", text, re.MULTILINE)
    assert text.index("--from=page") < text.index("--no-deps .")  # in the wheel, too
    copied = {
        word
        for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE)
        if "--from" not in line
        for word in line.split()[:-1]
        if not word.startswith("--")
    }
    for path in copied:
        assert (ROOT / path).exists(), path
    assert {"raydance", "tuning", "jobs"} <= copied
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert {path.split("/")[0] for path in copied} == {w[1:] for w in sent if w.startswith("!")}
    assert sent.index("raydance/web/node_modules") > sent.index("!raydance")  # the last one wins


def test_what_npm_makes_is_not_sent_to_a_cluster():
    from ray._private.runtime_env.packaging import get_excludes_from_ignore_files

    excludes = get_excludes_from_ignore_files(ROOT, include_gitignore=True)

    def is_sent(path: str) -> bool:
        return not any(leaves_out(ROOT / path) for leaves_out in excludes)

    assert not is_sent("raydance/web/node_modules/three/package.json")
    assert not is_sent("raydance/web/dist/index.html")  # jobs/serve.py says what follows
    assert is_sent("raydance/web/src/main.js") and is_sent("jobs/serve.py")


def test_a_wheel_holds_the_built_page_and_nothing_of_npm():
    setuptools = pytest.importorskip("setuptools")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert project["package-data"] == {"raydance.web": ["dist/**"]}
    found = setuptools.find_namespace_packages(str(ROOT), **project["packages"]["find"])
    assert {"raydance.web", "raydance.serving", "tuning"} <= set(found)
    assert not [name for name in found if name.startswith("raydance.web.")]


def test_claims_and_policies_fit_the_pods():
    (claim,) = {claim["claimName"] for claim in values(documents(), "persistentVolumeClaim")}
    assert of_kind("PersistentVolumeClaim")["metadata"]["name"] == claim
    assert of_kind("PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]
    policy = of_kind("NetworkPolicy", "raydance")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app": "raydance"}
    assert policy["policyTypes"] == ["Ingress"]
    assert [port["port"] for port in values(policy, "ports")[0]] == [8265]
