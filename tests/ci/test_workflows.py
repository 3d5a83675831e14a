"""The workflows of docs/ci/ and the action: no value can become a script, and they work.

Their shell steps run on this machine, nightly; the gate checks what needs no run.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kvbench.cli import COMMANDS
from kvbench.report.formats import RESULTS_FORMATS
from tests.ci.workflow_steps import ROOT, GithubJob, load, run_gitlab_job

GITHUB = sorted((ROOT / "docs/ci/github").glob("*.yml"))
GITLAB = sorted((ROOT / "docs/ci/gitlab").glob("*.yml"))
SHORT = "--quick --rounds 2 --ops mget --batch-sizes 10 --no-keep-awake --no-pin"
CHECK = "--only 'BGET-*'"
PAGE = re.compile(r"^.*--format html.*$", re.MULTILINE)


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def scripts(path: Path) -> list[str]:
    """The shell scripts of a workflow, of a GitLab job or of the action."""
    content = load(path)
    if path.parent.name == "gitlab":
        [job] = content.values()
        return job["script"]
    if "runs" in content:
        return [step["run"] for step in content["runs"]["steps"] if "run" in step]
    return [
        step["run"] for job in content["jobs"].values() for step in job["steps"] if "run" in step
    ]


@pytest.mark.parametrize("path", [*GITHUB, *GITLAB, ROOT / "action.yml"], ids=name_of)
def test_scripts_are_valid_and_take_values_as_variables(path):
    for script in scripts(path):
        parsed = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True)
        assert parsed.returncode == 0, parsed.stderr
        assert "${{" not in script, "a value that is pasted into a script is executed"
        for command in re.findall(r"^\s*kvbench (\w+)", script, re.MULTILINE):
            assert command in COMMANDS


@pytest.mark.parametrize("path", GITHUB, ids=name_of)
def test_workflows_use_the_action_as_it_is(path):
    action = load(ROOT / "action.yml")
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
    inputs = [step.get("with", {}) for step in steps if step.get("uses") == "OWNER/kvbench@main"]
    assert inputs
    for given in inputs:
        assert set(given) <= set(action["inputs"])
        assert given.get("command", "check") in COMMANDS


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit; it can be pushed to."""
    source, bare = tmp_path / "source", tmp_path / "origin.git"
    source.mkdir()
    (source / "store.txt").write_text("a store\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-qm", "One"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", source, bare], check=True)
    return bare


@pytest.fixture
def github(tmp_path, repository):
    """Runs a workflow of docs/ci/github; several runs in a test have separate machines."""
    jobs = []

    def run(name: str, **given) -> GithubJob:
        scratch = tmp_path / f"runner-{len(jobs)}"
        scratch.mkdir()
        given["replaced"] = {**without_page(), **given.get("replaced", {})}
        job = GithubJob(ROOT / f"docs/ci/github/{name}.yml", scratch, repository, **given)
        jobs.append(job)
        job.run()
        return job

    return run


def without_page() -> dict[str, str]:
    """The command that makes the page is left out while kvbench has no such format."""
    if "html" in RESULTS_FORMATS:
        return {}
    lines = [line for path in GITHUB for text in scripts(path) for line in PAGE.findall(text)]
    lines += [line for path in GITLAB for text in scripts(path) for line in PAGE.findall(text)]
    assert lines
    return dict.fromkeys(lines, "")


def free_ports() -> dict[str, str]:
    """Free ports instead of those of the workflow."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [str(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return dict(zip(("16391", "16392"), ports, strict=True))


def junit(job: GithubJob, artifact: str) -> ElementTree.Element:
    [folder] = [one["path"] for _, one in job.used if one.get("name") == artifact]
    return ElementTree.parse(Path(folder) / "junit.xml").getroot()


@pytest.mark.thorough
def test_github_tests_a_store(github):
    env = {"TARGET": "memory://", "CHECK": CHECK, "RUN": SHORT}
    job = github("test-my-store", env=env)
    assert not job.has_failed, job.shell.output
    assert int(junit(job, "conformance").get("tests")) >= 3
    assert int(junit(job, "results").get("tests")) >= 3
    assert "kvbench run: passed" in job.summary.read_text()


@pytest.mark.thorough
def test_github_stops_at_a_failure_and_keeps_its_files(github):
    env = {"TARGET": "memory://", "CHECK": CHECK, "RUN": f"{SHORT} --fail-on 'get.call_ns > 1ns'"}
    job = github("test-my-store", env=env)
    assert job.has_failed
    assert junit(job, "results").get("failures") == "1"
    assert "::error title=" in job.shell.output
    assert "kvbench run: FAILED" in job.summary.read_text()


@pytest.mark.thorough
def test_arguments_are_not_executed(github):
    env = {"TARGET": "memory://", "CHECK": "$(touch z) `touch x` ; touch y"}
    job = github("test-my-store", env=env)
    assert job.has_failed
    assert list(job.workspace.iterdir()) == []


def head_of(repository: Path) -> str:
    command = ["git", "rev-parse", "main"]
    return subprocess.run(
        command, cwd=repository, capture_output=True, text=True, check=True
    ).stdout.strip()


COMPARE = f"{SHORT.replace('--rounds 2', '--rounds 3')} --threshold"


@pytest.mark.thorough
@pytest.mark.parametrize(("threshold", "fails"), [("900%", False), ("0.0001%", True)])
def test_github_gates_a_pull_request(github, repository, threshold, fails):
    """A threshold that is none is an error of the command: the job fails, and shows the logs."""
    job = github(
        "gate-my-pull-request",
        env={"COMPARE": f"{COMPARE} {threshold}"},
        event={"github.event.pull_request.base.sha": head_of(repository)},
        replaced=free_ports(),
    )
    assert job.has_failed is fails, job.shell.output
    if fails:
        assert "==> base.log <==" in job.shell.output and "listening on" in job.shell.output
    else:
        assert "(B)" not in job.shell.output and "compared" in job.shell.output
        assert junit(job, "comparison").get("failures") == "0"


@pytest.mark.thorough
def test_github_publishes_a_page_and_keeps_results(github, repository):
    for count in (1, 2):
        job = github("publish-the-page", env={"RUN": f"memory:// {SHORT}"})
        assert not job.has_failed, job.shell.output
        assert "kvbench history" in job.summary.read_text()
        kept = ["git", "ls-tree", "--name-only", "kvbench-history", "runs/"]
        listed = subprocess.run(kept, cwd=repository, capture_output=True, text=True, check=True)
        assert len(listed.stdout.splitlines()) == count
    public = job.workspace / "public"
    assert (public / "results.jsonl").exists()
    assert (public / "index.html").exists() is ("html" in RESULTS_FORMATS)
    assert ("actions/upload-pages-artifact@v3", {"path": "public"}) in job.used


@pytest.fixture
def gitlab(tmp_path, repository):
    def run(name: str, env: dict[str, str]) -> Path:
        scratch, workspace = tmp_path / "runner", tmp_path / "checkout"
        scratch.mkdir()
        subprocess.run(["git", "clone", "-q", repository, workspace], check=True)
        path = ROOT / f"docs/ci/gitlab/{name}.yml"
        [job] = load(path).values()
        assert set(env) <= {*job["variables"], "CI_COMMIT_SHA", "CI_MERGE_REQUEST_DIFF_BASE_SHA"}
        replaced = {**without_page(), **free_ports()}
        code, output = run_gitlab_job(path, scratch, workspace, env, replaced)
        assert code == 0, output
        reports = job["artifacts"]["reports"]["junit"]
        named = [*job["artifacts"]["paths"], *reports]
        assert [one for one in named if not (workspace / one).exists()] == []
        for report in reports:
            assert ElementTree.parse(workspace / report).getroot().get("failures") == "0"
        return workspace

    return run


@pytest.mark.thorough
def test_gitlab_tests_a_store(gitlab):
    # A variable is split by spaces, but its quotes stay: as in GitLab.
    assert shlex.split(CHECK)[0] == "--only"
    gitlab("test-my-store", {"TARGET": "memory://", "CHECK": "--only BGET-*", "RUN": SHORT})


@pytest.mark.thorough
def test_gitlab_gates_a_merge_request(gitlab, repository):
    sha = head_of(repository)
    env = {"COMPARE": f"{COMPARE} 900%", "CI_MERGE_REQUEST_DIFF_BASE_SHA": sha}
    gitlab("gate-my-merge-request", env)


@pytest.mark.thorough
def test_gitlab_publishes_a_page_and_keeps_results(gitlab, repository):
    workspace = gitlab(
        "publish-the-page", {"RUN": f"memory:// {SHORT}", "CI_COMMIT_SHA": head_of(repository)}
    )
    assert len(list((workspace / "history").glob("*.json"))) == 1
    assert (workspace / "public/trend.md").read_text().startswith("# kvbench history")
