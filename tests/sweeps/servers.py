"""Real servers for the tests, each in a folder and on ports of its own, gone when the tests are over."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.sweeps.waiting import wait_for

# ---- what both need -------------------------------------------------------------------------------------


@contextmanager
def daemon(
    command: Sequence[str | Path], log: Path, *, stop: int = signal.SIGTERM, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, from here to the end of the block, or to the death of this process."""
    leash = ["setpriv", "--pdeathsig", signal.Signals(stop).name[3:]]
    if user:
        leash += ["--reuid", user, "--regid", user, "--clear-groups"]
    with log.open("ab") as file:
        process = subprocess.Popen([*leash, *command], stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def folder(owner: str | None = None) -> Iterator[Path]:
    """A temporary folder with a short name: a socket's path has at most 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="snlab-"))
    if owner:
        shutil.chown(path, owner, owner)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def programs(names: Sequence[str], packages: str) -> dict[str, str]:
    """Where the programs are; the test is skipped, loudly, where one is not installed."""
    places = [os.environ["PATH"], "/usr/sbin", "/sbin", *map(str, Path("/").glob("usr/lib/postgresql/*/bin"))]
    found = {name: shutil.which(name, path=os.pathsep.join(places)) for name in (*names, "setpriv")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"NOT TESTED: {', '.join(missing)} not found; install the packages {packages}")
    return {name: str(path) for name, path in found.items()}


# ---- PostgreSQL -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL server of this session's own."""
    program = programs(["initdb", "postgres"], "postgresql")
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    (port,) = free_ports(1)
    with folder(owner=user) as place:
        subprocess.run(
            [program["initdb"], "-D", place / "data", "-U", "snlab", "-A", "trust", "-E", "UTF8", "-N"],
            check=True,
            capture_output=True,
            user=user,
            group=user,
            cwd=place,
        )
        settings = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "fsync=off"]
        command = [program["postgres"], "-D", place / "data", *(f"-c{setting}" for setting in settings)]
        where = f"snlab@127.0.0.1:{port}/postgres"
        with daemon(command, place / "log", stop=signal.SIGINT, user=user) as process:

            def answers() -> bool:
                assert process.poll() is None, (place / "log").read_text()
                try:
                    psycopg.connect(f"postgresql://{where}").close()
                except psycopg.OperationalError:
                    return False
                return True

            wait_for(answers, 30, "PostgreSQL answering")
            yield f"postgresql+psycopg://{where}"


# ---- SLURM ----------------------------------------------------------------------------------------------

# cred_expire bounds how soon a requeued job starts again. Two nodes of one core and two GPUs, of which SLURM
# wants no more than that they are devices. Jobs in `urgent` preempt those in `batch`.
SLURM_CONF = """
ClusterName=snlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={place}/munge.sock,cred_expire=5
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/%n.pid
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 Gres=gpu:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 Gres=gpu:2
PartitionName=batch Nodes=n1,n2 Default=YES PriorityTier=1
PartitionName=urgent Nodes=n1,n2 PriorityTier=2 PreemptMode=OFF
"""

ASKED_EVERY = 0.25  # seconds: each question is a process


@dataclass(frozen=True)
class Slurm:
    """A SLURM cluster of two nodes, n1 and n2, on this machine.

    Args:
        env: the environment in which SLURM's commands speak to it.
    """

    env: dict[str, str]

    def __call__(self, *command: str | Path) -> str:
        """What a command of SLURM's prints; it has to succeed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def states(self, job: str) -> dict[str, str]:
        """The state of each member of an array that is not over yet, by its number."""
        lines = self("squeue", "-h", "-r", "-o", "%F %K %T").splitlines()
        return {word[1]: word[2] for word in map(str.split, lines) if word[0] == job}

    def wait(self, job: str, state: str, member: str, seconds: float = 60) -> None:
        there = f"member {member} of {job} {state}"
        wait_for(lambda: self.states(job).get(member) == state, seconds, there, ASKED_EVERY)

    def wait_until_over(self, job: str, seconds: float) -> None:
        wait_for(lambda: not self.states(job), seconds, f"job {job} over", ASKED_EVERY)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A SLURM cluster of this session's own: munged, slurmctld and two slurmd, run by this user."""
    packages = "slurm-wlm and munge"
    program = programs(["munged", "slurmctld", "slurmd", "sbatch", "scontrol"], packages)
    with folder() as place, ExitStack() as daemons:
        for name in ("state", "n1", "n2"):
            (place / name).mkdir()
        (place / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        conf = place / "slurm.conf"
        conf.write_text(
            SLURM_CONF.format(
                host=socket.gethostname().partition(".")[0],
                user=getpass.getuser(),
                place=place,
                ports=free_ports(3),
            )
        )
        key = place / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = {"key": key, "socket": "munge.sock", "pid": "munge.pid", "log": "munge.log", "seed": "seed"}
        options = [f"--{k}{'' if k == 'socket' else '-file'}={place / v}" for k, v in files.items()]
        cluster = Slurm({**os.environ, "SLURM_CONF": str(conf)})

        def start(*command: str | Path) -> None:
            daemons.enter_context(daemon(["env", f"SLURM_CONF={conf}", *command], place / "log"))

        start(program["munged"], "--foreground", "--force", *options)
        wait_for((place / "munge.sock").exists, 10, "munged listening")
        start(program["slurmctld"], "-D", "-i")
        for node in ("n1", "n2"):
            start(program["slurmd"], "-D", "-N", node)

        def idle() -> bool:
            done = subprocess.run(
                ["sinfo", "-h", "-N", "-p", "batch", "-o", "%T"],
                env=cluster.env,
                capture_output=True,
                text=True,
            )
            return done.stdout.split() == ["idle", "idle"]

        try:
            wait_for(idle, 30, "both nodes idle", ASKED_EVERY)
        except AssertionError as error:
            raise AssertionError((place / "log").read_text()[-3000:]) from error
        yield cluster
        cluster("scancel", "--user", getpass.getuser())
        wait_for(lambda: not cluster("squeue", "-h"), 60, "every job over", ASKED_EVERY)
