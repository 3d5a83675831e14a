"""Runs the shell steps of workflow files on this machine, as GitHub Actions and GitLab run them.

Of GitHub's language there is what docs/ci/ and action.yml use: expressions that name a value, and
conditions of ``always()``, ``failure()`` and ``NAME != ''``. Anything else is an error. An action
of another repository is not run, but remembered with its inputs; ``actions/checkout`` clones.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
STEP_TIMEOUT_S = 240
KVBENCH_ACTION = "OWNER/kvbench@main"
_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_NOT_EMPTY = re.compile(r"([\w.-]+) != ''")


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def base_environment(scratch: Path) -> dict[str, str]:
    """The environment of a fresh runner that has this kvbench: nothing is downloaded."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **kept, "PATH": path, "TMPDIR": str(scratch), "CI": "true", "COLUMNS": "120",
        "KVBENCH_REQUIREMENT": "kvbench", "PIP_NO_INDEX": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }  # fmt: skip


@dataclass
class ShellRuns:
    """Scripts run one after the other; what they leave running is ended by :meth:`stop`."""

    output: str = ""
    _groups: list[int] = field(default_factory=list)

    def run(self, script: str, folder: Path, environment: dict[str, str]) -> int:
        log = Path(environment["TMPDIR"]) / f"step-{len(self._groups)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self._groups.append(process.pid)
            code = process.wait(STEP_TIMEOUT_S)
        self.output += log.read_text()
        return code

    def stop(self) -> None:
        """End what the scripts started and left: each has a session, so only that."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)


@dataclass
class GithubJob:
    """The only job of a workflow.

    Attributes:
        path: the workflow.
        scratch: an empty folder.
        repository: what ``actions/checkout`` clones.
        env: replaces values of the workflow's ``env``.
        event: values of the contexts ``github.event`` and so on, by their whole names.
        replaced: parts of shell steps, and what runs instead.
        shell: runs the steps.
        used: other actions with their inputs.
        has_failed: whether a step has failed.
    """

    path: Path
    scratch: Path
    repository: Path
    env: dict[str, str] = field(default_factory=dict)
    event: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    shell: ShellRuns = field(default_factory=ShellRuns)
    used: list[tuple[str, dict]] = field(default_factory=list)
    has_failed: bool = False

    def run(self) -> None:
        workflow = load(self.path)
        assert set(self.env) <= set(workflow["env"]), "the workflow has these variables"
        [job] = workflow["jobs"].values()
        self.workspace = self.scratch / "workspace"
        self.workspace.mkdir()
        self.summary = self.scratch / "summary.md"
        env = {name: str(value) for name, value in {**workflow["env"], **self.env}.items()}
        for old, new in self.replaced.items():
            env = {name: value.replace(old, new) for name, value in env.items()}
        self._runner = {
            **base_environment(self.scratch), "RUNNER_TEMP": str(self.scratch),
            "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(self.summary), **env,
        }  # fmt: skip
        values = {f"env.{name}": value for name, value in env.items()} | self.event
        try:
            self._steps(job["steps"], values)
        finally:
            self.shell.stop()

    def _steps(self, steps: list[dict], values: dict[str, str]) -> dict[str, str]:
        """Run steps; returns all values, with the outputs of these steps."""
        for number, step in enumerate(steps):
            if not self._applies(step.get("if", ""), values):
                continue
            outputs: dict[str, str] = {}
            if "uses" in step:
                given = {
                    name: self._text(one, values) for name, one in step.get("with", {}).items()
                }
                outputs = self._use(step["uses"], given)
            else:
                outputs = self._shell(step, values, self.scratch / f"output-{number}")
            if "id" in step:
                values |= {f"steps.{step['id']}.outputs.{n}": one for n, one in outputs.items()}
        return values

    def _use(self, name: str, given: dict[str, str]) -> dict[str, str]:
        if name == KVBENCH_ACTION:
            action = load(ROOT / "action.yml")
            assert set(given) <= set(action["inputs"]), "the action has these inputs"
            inputs = {one: it["default"] for one, it in action["inputs"].items()} | given
            values = {f"inputs.{one}": it for one, it in inputs.items()}
            values["github.action_path"] = str(ROOT)
            values = self._steps(action["runs"]["steps"], values)
            return {
                one: self._text(it["value"], values, missing="")
                for one, it in action["outputs"].items()
            }
        if name == "actions/checkout@v4":
            folder = self.workspace / given.get("path", "")
            subprocess.run(["git", "clone", "-q", self.repository, folder], check=True)
            subprocess.run(
                ["git", "checkout", "-q", given.get("ref", "HEAD")], cwd=folder, check=True
            )
        self.used.append((name, given))
        return {}

    def _shell(self, step: dict, values: dict[str, str], output: Path) -> dict[str, str]:
        assert not _EXPRESSION.search(step["run"]), "values come through env: see action.yml"
        script = step["run"]
        for old, new in self.replaced.items():
            script = script.replace(old, new)
        env = {name: self._text(one, values) for name, one in step.get("env", {}).items()}
        output.write_text("")
        environment = {**self._runner, "GITHUB_OUTPUT": str(output), **env}
        self.has_failed |= self.shell.run(script, self.workspace, environment) != 0
        return dict(line.split("=", 1) for line in output.read_text().splitlines())

    def _applies(self, condition: str, values: dict[str, str]) -> bool:
        parts = [one.strip() for one in condition.split("&&")] if condition else []
        is_met = {"always()": True, "failure()": self.has_failed}
        if not set(parts) & set(is_met):
            parts.append("success()")
            is_met["success()"] = not self.has_failed
        for part in parts:
            named = _NOT_EMPTY.fullmatch(part)
            assert named or part in is_met, f"{part!r} is not known here"
            if not (values.get(named[1], "") if named else is_met[part]):
                return False
        return True

    def _text(self, text: object, values: dict[str, str], missing: str | None = None) -> str:
        def value(match: re.Match[str]) -> str:
            return values[match[1]] if missing is None else values.get(match[1], missing)

        return _EXPRESSION.sub(value, str(text))


def run_gitlab_job(
    path: Path, scratch: Path, workspace: Path, env: dict[str, str], replaced: dict[str, str]
) -> tuple[int, str]:
    """Run the only job of a GitLab file in a checkout; gives its exit code and output."""
    [job] = load(path).values()
    shell = ShellRuns()
    variables = {n: str(one).replace("$$", "$") for n, one in job["variables"].items()}
    variables |= {"KVBENCH": "kvbench", **env}
    script = "\n".join(job["script"])
    for old, new in replaced.items():
        script = script.replace(old, new)
        variables = {name: one.replace(old, new) for name, one in variables.items()}
    try:
        code = shell.run(script, workspace, {**base_environment(scratch), **variables})
    finally:
        shell.stop()
    return code, shell.output
