"""pytest --timewait-scripts FOLDER, as another project runs it."""

import subprocess
import sys
from pathlib import Path

GOOD = """0.00 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0.00 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0.00 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0.00 > S 0:0(0) <...>
"""


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def project(folder: Path) -> Path:
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_own.py").write_text("def test_own(): pass\n")
    (folder / "scripts").mkdir()
    (folder / "scripts/good.pkt").write_text(GOOD)
    (folder / "scripts/bad.pkt").write_text(GOOD.replace("0:0(0)", "0:0(0) win 1"))
    (folder / "other.pkt").write_text("no script\n")
    return folder


def test_scripts_are_tests(tmp_path: Path) -> None:
    done = pytest_in(project(tmp_path), "--timewait-scripts", "scripts", "--timewait-profile", "freebsd")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "bad.pkt:4: error handling packet: live packet field tcp_window: expected: 1" in done.stdout
    assert "actual packet: " in done.stdout
    assert "Traceback" not in done.stdout


def test_what_was_named_is_run_too(tmp_path: Path) -> None:
    done = pytest_in(project(tmp_path), "test_own.py", "--timewait-scripts", "scripts/good.pkt")
    assert (done.returncode, "2 passed" in done.stdout) == (0, True)


def test_without_the_option_no_script_is_a_test_and_nothing_is_imported(tmp_path: Path) -> None:
    (project(tmp_path) / "test_own.py").write_text(
        "import sys\ndef test_own():\n    assert [n for n in sys.modules if n.startswith('timewait')]"
        " == ['timewait', 'timewait.pytest_plugin']\n    assert not {'lark', 'numpy'} & set(sys.modules)\n"
    )
    done = pytest_in(tmp_path)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = pytest_in(project(tmp_path), "--timewait-scripts", "nowhere")
    assert done.returncode == 4
    assert "there is no nowhere" in done.stderr
