"""The peer: pmd-pytcp, a TCP/IP stack in pure Python, in an environment and a process of its own.

It is GPL-3: installed by the benchmark into a temporary folder, run by that folder's interpreter, never imported here.
"""

import subprocess
import venv
from pathlib import Path

VERSION = "0.3.8"
# Accepts, waits for the end of file, closes; over the descriptor it is given.  Its interface is an asyncio one.
SERVER = """
import asyncio, sys
from pmd_net_addr import Ip4IfAddr
from pmd_pytcp import socket, stack
from pmd_pytcp.lib.interface_layer import InterfaceLayer

async def serve_one(sock):
    await sock.recv()
    sock.close()

async def main():
    descriptor = int(sys.argv[1])
    host = Ip4IfAddr("192.0.2.2/24")
    stack.init(fd=descriptor, layer=InterfaceLayer.L3, mtu=1500, ip6_support=False, ip4_host=host)
    started = stack.start()
    if started is not None:
        await started
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for _ in range(100):  # the stack takes a while to own its address
        try:
            listener.bind(("192.0.2.2", 80))
            break
        except OSError:
            await asyncio.sleep(0.1)
    listener.listen(backlog=128)
    print("ready", flush=True)
    tasks = set()
    while True:
        sock, _ = await listener.accept()
        task = asyncio.create_task(serve_one(sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

asyncio.run(main())
"""


def install(folder: Path) -> Path:
    """Install the peer into `folder` and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"pmd-pytcp=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: pmd-pytcp {VERSION} cannot be installed\nhint:  {done.stderr.strip()[-300:]}")
    return python
