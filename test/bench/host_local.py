#!/usr/bin/env python3
"""Times host-local's ADD and DEL, as whole processes, with different numbers of held addresses.

usage: host_local.py OURS [REFERENCE]

OURS and REFERENCE are folders of plugin executables. Runs alternate between the two; the table shows medians in
milliseconds. State lies in a temporary folder (TMPDIR). Needs python3 only.
"""

import ipaddress
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

HELD = (0, 10_000, 50_000)
RUNS = 41


def spawn(executable, command, container, config):
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": "/none",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/none",
    }
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, config, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    begin = time.perf_counter()
    child = os.posix_spawn(executable, [executable], environment, file_actions=actions)
    _, status = os.waitpid(child, 0)
    taken = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"{executable} {command}: wait status {status}")
    return taken * 1000


def prepare(folder, held):
    """A network's state and its configuration."""
    network = os.path.join(folder, "net")
    os.makedirs(network)
    first = ipaddress.ip_address("10.1.0.2")
    for number in range(held):
        with open(os.path.join(network, str(first + number)), "w", encoding="ascii") as file:
            file.write(f"{number:064x}\r\neth0")
    config = os.path.join(folder, "config")
    with open(config, "w", encoding="ascii") as file:
        ipam = {"type": "host-local", "dataDir": folder, "subnet": "10.1.0.0/16"}
        json.dump({"cniVersion": "1.0.0", "name": "net", "ipam": ipam}, file)
    return config


def measure(executables, held):
    folders = [tempfile.mkdtemp() for _ in executables]
    try:
        configs = [prepare(folder, held) for folder in folders]
        times = [{"ADD": [], "DEL": []} for _ in executables]
        for run in range(RUNS + 1):
            for executable, config, results in zip(executables, configs, times):
                for command in ("ADD", "DEL"):
                    results[command].append(spawn(executable, command, f"bench{run}", config))
        # The first run of each makes folders and indexes.
        return [{command: statistics.median(list_[1:]) for command, list_ in results.items()} for results in times]
    finally:
        for folder in folders:
            shutil.rmtree(folder)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    executables = [os.path.join(folder, "host-local") for folder in sys.argv[1:]]
    with_reference = len(executables) == 2
    print("| held | ADD ours |" + (" ADD reference |" if with_reference else "") + " DEL ours |" + (" DEL reference |" if with_reference else ""))
    print("|---|---|" + ("---|" if with_reference else "") + "---|" + ("---|" if with_reference else ""))
    for held in HELD:
        results = measure(executables, held)
        cells = [f"{result[command]:.2f} ms" for command in ("ADD", "DEL") for result in results]
        print(f"| {held:,} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
