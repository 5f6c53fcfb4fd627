"""Shows by the system calls of a node that no answer leaves before what it promises is on the disk.

A client asks one thing after the other. Between two answers strace has to have seen a write into the log, an `fdatasync`
of the log that began behind it and ended well, and only then the answer. Started by scripts/kept.sh, which says how.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

QUESTIONS = 200
PATIENCE = 30
LOG = re.compile(r"\d+<[^>]*/log-[0-9a-f]{16}>")
CALL = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
ANSWERS = {b"\x20": "CONNACK", b"\x90": "SUBACK", b"\xb0": "UNSUBACK"}


def start(program, folder, trace):
    """A node under strace, and where it listens."""
    arguments = ["store.backend=disk", f"store.folder={folder}/data", "listener.tcp.bind=127.0.0.1:0",
                 "listener.websocket.enabled=false", "admin.enabled=false"]
    calls = "trace=pwrite64,fdatasync,write,writev,sendto,sendmsg"
    # Every byte of what is written to a socket as a number, since the first one says which packet it is.
    traced = ["strace", "-f", "-yy", "-xx", "-s", "4", "-o", str(trace), "-e", calls]
    settings = [word for argument in arguments for word in ("--set", argument)]
    node = subprocess.Popen([*traced, program, *settings], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = None
    for line in node.stdout:
        if line.startswith("tcp: "):
            host, port = line.split("//")[1].strip().rsplit(":", 1)
            address = (host, int(port))
        if line == "ready\n":
            return node, address
    raise SystemExit("the node did not become ready")


def ask(address):
    """Connects a durable session, which then subscribes and unsubscribes."""
    with socket.create_connection(address, timeout=PATIENCE) as client:
        def exchange(packet, length):
            client.sendall(packet)
            answer = b""
            while len(answer) < length:
                answer += client.recv(length - len(answer)) or sys.exit("the node closed the connection")

        exchange(b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x3c\x00\x01a", 4)
        for number in range(QUESTIONS):
            topic = b"%04d" % (number // 2)
            if number % 2:
                exchange(b"\xa2\x08\x00\x01\x00\x04" + topic, 4)
            else:
                exchange(b"\x82\x09\x00\x01\x00\x04" + topic + b"\x01", 5)


def readable(text):
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


def steps(trace):
    """What happened, in order: `written`, `syncs` and `synced` of the log, and the answers."""
    begun = {}
    for line in trace.read_text(errors="replace").splitlines():
        if not (found := CALL.match(line)):
            continue
        thread, resumed, called, rest = found.groups()
        of_log = begun.pop(thread, False) if resumed else bool(LOG.match(readable(rest)))
        call, is_done = resumed or called, "<unfinished" not in rest
        if called and not is_done:
            begun[thread] = of_log
        if called and re.match(r"\d+<TCP:", rest) and (first := re.search(r'"\\x([0-9a-f]{2})', rest)):
            if answer := ANSWERS.get(bytes.fromhex(first[1])):
                yield answer
        if not of_log:
            continue
        if call == "fdatasync" and called:
            yield "syncs"
        if is_done and call == "fdatasync" and rest.rstrip().endswith("= 0"):
            yield "synced"
        if is_done and call == "pwrite64":
            yield "written"


def judge(trace):
    """Counts the answers; ends where one came too early."""
    answers, state = 0, "nothing"
    for step in steps(trace):
        if step == "written":
            state = "written"
        elif step == "syncs":
            state = "syncs" if state == "written" else state
        elif step == "synced":
            state = "synced" if state == "syncs" else state
        else:
            if state != "synced":
                raise SystemExit(f"answer {answers + 1}, a {step}, left when the log was not on the disk ({state})")
            answers, state = answers + 1, "nothing"
    return answers


def main():
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        node, address = start(sys.argv[1], folder, trace)
        try:
            ask(address)
        finally:
            # The program itself: strace ends with it.
            children = subprocess.run(["ps", "--ppid", str(node.pid), "-o", "pid="], text=True, stdout=subprocess.PIPE)
            for process in children.stdout.split():
                subprocess.run(["kill", f"-{signal.SIGTERM.value}", process], check=False)
            node.wait(PATIENCE)
        answers = judge(trace)
    if answers != QUESTIONS + 1:
        raise SystemExit(f"{answers} answers were seen in place of {QUESTIONS + 1}")
    print(f"{answers} answers, each behind a write into the log and the end of its fdatasync")


if __name__ == "__main__":
    main()
