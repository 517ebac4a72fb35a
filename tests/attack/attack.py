#!/usr/bin/env python3
"""Attacks on a server of yours: what they cost it, and what an innocent client sees meanwhile.

Each attack holds as many connections as it is told for as long as it is told, and opens another one for
each that the server closes. Beside it a client asks for something small, over and over. At the end the
script prints what became of the connections, how long the innocent client waited and how often it failed,
and with --pid how much memory the server took. It needs nothing but Python 3.9 and Linux.

    attack.py fill --url http://127.0.0.1:8080 --product 1 --reviews 64
    attack.py silent-readers --url http://127.0.0.1:8080 --connections 4000 --pid $(pidof reviewsd)

A server that is not on this machine is attacked only with --elsewhere: do that to your own alone.
"""

import argparse
import collections
import http.client
import ipaddress
import json
import multiprocessing
import os
import resource
import select
import socket
import sys
import time
import urllib.parse

ATTACKS = {
    "volley": "clients that ask for a large page, take it as fast as they can, and ask again",
    "silent-readers": "clients that ask for a large page and take nothing of it",
    "slow-readers": "clients that ask for a large page and take --rate bytes a second of it",
    "dribble": "clients that send the body of a review, a byte at a time",
    "silent": "clients that connect and say nothing",
}
# Attackers' receive buffers: what the system takes over for a client that reads nothing.
SMALL_BUFFER = 4096


def main():
    args = arguments()
    target = Target(args.url, args.elsewhere)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if args.attack == "fill":
        return fill(target, args)
    return attack(target, args)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="attack", required=True, metavar="ATTACK")
    prepare = commands.add_parser("fill", help="posts large reviews, for the attacks that ask for them")
    prepare.add_argument("--reviews", type=int, default=64, help="how many (default: 64)")
    for name, what in ATTACKS.items():
        command = commands.add_parser(name, help=what)
        command.add_argument("--connections", type=int, default=400, help="at once (default: 400)")
        command.add_argument("--seconds", type=float, default=20, help="how long (default: 20)")
        command.add_argument("--count", type=int, default=64, help="rows of a page (default: 64)")
        command.add_argument("--rate", type=int, default=1000, help="bytes a second (default: 1000)")
        command.add_argument(
            "--innocent",
            default="/reviews?product_id=2",
            help="what the innocent client asks for (default: %(default)s)",
        )
        command.add_argument(
            "--sources",
            type=int,
            default=1,
            help="addresses of this machine that the attack comes from: 127.0.1.1 and on (default: 1)",
        )
        command.add_argument(
            "--patience",
            type=float,
            default=10,
            help="seconds after which the innocent client gives a request up (default: 10)",
        )
        command.add_argument("--pid", type=int, help="the server's process, to watch its memory")
        command.add_argument("--csv", help="a file for the seconds: memory, latencies, failures")
        command.add_argument("--svg", help="a file for the same as a picture")
        command.add_argument("--json", help="a file for the figures of the end")
        command.add_argument("--rss-max", type=int, help="MiB of memory beyond which it exits with 1")
        command.add_argument("--failures-max", type=int, help="the same for the innocent's failures")
    for command in commands.choices.values():
        command.add_argument("--url", default="http://127.0.0.1:8080", help="default: %(default)s")
        command.add_argument("--product", type=int, default=1, help="whose reviews (default: 1)")
        command.add_argument(
            "--elsewhere", action="store_true", help="attack a server that is not on this machine"
        )
    return parser.parse_args()


class Target:
    """The server."""

    def __init__(self, url, elsewhere):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            sys.exit(f"{url} is no address like http://127.0.0.1:8080")
        self.host, self.port = parts.hostname, parts.port or 80
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        self.family, _, _, _, self.address = found[0]
        is_here = ipaddress.ip_address(self.address[0]).is_loopback
        if not is_here and not elsewhere:
            sys.exit(f"{self.host} is not this machine; say --elsewhere if the server there is yours")
        self.is_here = is_here

    def get(self, path):
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()


def large_review(product):
    """A review that is about as large as one may be: 64 KiB is the most that a body may have."""
    return json.dumps(
        {
            "product_id": product,
            "rating": 4,
            "summary": "A large one",
            # Three bytes a character.
            "body": "\u6f22" * 10_000,
            "recommend": True,
            "name": "attack",
            "email": "attack@example.org",
            "photos": ["https://img.example/" + "x" * 1900] * 5,
        },
        ensure_ascii=False,
    ).encode()


def fill(target, args):
    body = large_review(args.product)
    connection = http.client.HTTPConnection(target.host, target.port, timeout=60)
    for number in range(args.reviews):
        connection.request("POST", "/reviews", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 201:
            sys.exit(f"review {number + 1} was answered {answer.status}: {text.decode()}")
    print(f"posted {args.reviews} reviews of {len(body)} bytes to product {args.product}")
    return 0


class Attacker:
    """One connection, and what it does."""

    def __init__(self, swarm):
        self.swarm = swarm
        self.socket = socket.socket(swarm.target.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if swarm.name in ("silent-readers", "slow-readers"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        source = swarm.next_source()
        if source:
            self.socket.bind((source, 0))
        self.head = b""
        self.left = None
        self.is_begun = False
        self.credit = 0.0
        self.socket.connect_ex(swarm.target.address)
        swarm.poll.register(self.socket, select.EPOLLOUT | select.EPOLLRDHUP)

    def begin(self):
        """The connection is there, or it is not."""
        self.is_begun = True
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        events = select.EPOLLRDHUP
        if self.swarm.name == "volley":
            events |= select.EPOLLIN
        self.swarm.poll.modify(self.socket, events)
        if self.swarm.opening:
            self.socket.send(self.swarm.opening)

    def take(self, bytes_max):
        """Takes some of the answer; asks again when it has all of it."""
        try:
            some = self.socket.recv(bytes_max)
        except BlockingIOError:
            return
        if not some:
            raise ConnectionResetError("it ended")
        if self.left is None:
            self.head += some
            head, end, some = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.swarm.statuses[head.split(b" ", 2)[1].decode()] += 1
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.left = int(length[0].split(b":")[1]) if length else 0
        self.left -= len(some)
        if self.left <= 0:
            self.head, self.left = b"", None
            self.socket.send(self.swarm.opening)

    def tick(self, seconds):
        """Does what it does without being asked."""
        if not self.is_begun:
            return
        if self.swarm.name == "dribble":
            self.socket.send(b" ")
        elif self.swarm.name == "slow-readers":
            self.credit += seconds * self.swarm.rate
            if self.credit >= 1:
                self.take(int(self.credit))
                self.credit -= int(self.credit)

    def close(self):
        # What it was told before the end, if it was told anything.
        if self.left is None and self.swarm.name != "volley":
            try:
                told = self.socket.recv(64)
                if told.startswith(b"HTTP/1.1 "):
                    self.swarm.statuses[told.split(b" ", 2)[1].decode()] += 1
            except OSError:
                pass
        self.swarm.poll.unregister(self.socket)
        self.socket.close()


class Swarm:
    """All connections of an attack."""

    def __init__(self, target, args):
        self.target, self.name, self.rate = target, args.attack, args.rate
        self.wanted, self.sources = args.connections, args.sources
        self.poll = select.epoll()
        self.attackers = {}
        self.statuses = collections.Counter()
        self.opened = self.ended = 0
        page = f"/reviews?product_id={args.product}&count={args.count}"
        review = f"POST /reviews HTTP/1.1\r\nHost: {target.host}\r\nContent-Length: 60000\r\n\r\n{{"
        self.opening = {"silent": b"", "dribble": review.encode()}.get(self.name, target.get(page))

    def next_source(self):
        if self.sources < 2 or not self.target.is_here or self.target.family != socket.AF_INET:
            return None
        number = self.opened % self.sources
        return f"127.0.{1 + number // 250}.{1 + number % 250}"

    def open_more(self):
        # Not all at once: those that the server refuses would leave no time for anything else.
        for _ in range(min(self.wanted - len(self.attackers), 500)):
            attacker = Attacker(self)
            self.attackers[attacker.socket.fileno()] = attacker
            self.opened += 1

    def end(self, attacker):
        self.attackers.pop(attacker.socket.fileno(), None)
        attacker.close()
        self.ended += 1

    def run(self, seconds):
        end = time.monotonic() + seconds
        ticked = time.monotonic()
        while time.monotonic() < end:
            self.open_more()
            for number, events in self.poll.poll(0.02, 1024):
                attacker = self.attackers.get(number)
                if attacker:
                    self.guarded(attacker, lambda: self.happened(attacker, events))
            now = time.monotonic()
            if now - ticked >= 0.02 and self.name in ("dribble", "slow-readers"):
                for attacker in list(self.attackers.values()):
                    self.guarded(attacker, lambda: attacker.tick(now - ticked))
                ticked = now
        for attacker in list(self.attackers.values()):
            attacker.close()

    def guarded(self, attacker, act):
        try:
            act()
        except BlockingIOError:
            pass
        except OSError:
            self.end(attacker)

    def happened(self, attacker, events):
        if not attacker.is_begun:
            attacker.begin()
        if events & select.EPOLLIN:
            attacker.take(1 << 20)
        elif events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
            raise ConnectionResetError("the server ended it")


def innocent(target, args, begun, ends, results):
    """Asks for something small until the end; runs in a process of its own. Every other request comes over
    a new connection."""
    all_times, failures = [], []
    connection = None
    while (now := time.monotonic()) < ends:
        try:
            if connection is None or len(all_times) % 2 == 0:
                connection = http.client.HTTPConnection(
                    target.host, target.port, timeout=args.patience
                )
            connection.request("GET", args.innocent)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise OSError(f"answered {answer.status}")
            all_times.append((now - begun, time.monotonic() - now))
        except (OSError, http.client.HTTPException) as error:
            failures.append((now - begun, f"{type(error).__name__}: {error}"))
            connection = None
        time.sleep(0.005)
    results.send((all_times, failures))


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def watch(pid, begun, ends, results):
    """Looks how much memory the server has, ten times a second."""
    memory = []
    while time.monotonic() < ends:
        try:
            memory.append((time.monotonic() - begun, resident_mib(pid)))
        except (OSError, StopIteration):
            memory.append((time.monotonic() - begun, 0.0))
            break
        time.sleep(0.1)
    results.send(memory)


def attack(target, args):
    begun = time.monotonic()
    # A second before and after, to compare.
    ends = begun + args.seconds + 2
    seen, says = multiprocessing.Pipe(duplex=False)
    helpers = [multiprocessing.Process(target=innocent, args=(target, args, begun, ends, says))]
    memory_seen, memory_says = multiprocessing.Pipe(duplex=False)
    if args.pid:
        helpers.append(multiprocessing.Process(target=watch, args=(args.pid, begun, ends, memory_says)))
    for helper in helpers:
        helper.start()
    time.sleep(1)
    swarm = Swarm(target, args)
    swarm.run(args.seconds)
    times, failures = seen.recv()
    memory = memory_seen.recv() if args.pid else []
    for helper in helpers:
        helper.join()
    figures = figures_of(args, swarm, times, failures, memory)
    print_figures(args, figures, failures)
    write_files(args, figures, times, failures, memory)
    return verdict(args, figures)


def percentile(sorted_times, share):
    if not sorted_times:
        return None
    return round(1000 * sorted_times[min(int(share * len(sorted_times)), len(sorted_times) - 1)], 2)


def figures_of(args, swarm, times, failures, memory):
    during = sorted(took for at, took in times if 1 <= at < 1 + args.seconds)
    return {
        "attack": args.attack,
        "connections": args.connections,
        "seconds": args.seconds,
        "opened": swarm.opened,
        "ended_by_server": swarm.ended,
        "statuses": dict(swarm.statuses),
        "innocent_requests": len(times) + len(failures),
        "innocent_failures": len(failures),
        "innocent_p50_ms": percentile(during, 0.5),
        "innocent_p99_ms": percentile(during, 0.99),
        "innocent_max_ms": percentile(during, 1),
        "rss_before_mib": round(memory[0][1], 1) if memory else None,
        "rss_max_mib": round(max(mib for _, mib in memory), 1) if memory else None,
        "rss_after_mib": round(memory[-1][1], 1) if memory else None,
    }


def print_figures(args, figures, failures):
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(figures["statuses"].items()))
    print(f"{args.attack}: {args.connections} connections for {args.seconds:g} s")
    print(
        f"  attackers   {figures['opened']} connections opened, {figures['ended_by_server']} ended by "
        f"the server; answers: {statuses or 'none that was looked at'}"
    )
    print(
        f"  innocent    {figures['innocent_requests']} requests, {figures['innocent_failures']} failed; "
        f"p50 {figures['innocent_p50_ms']} ms, p99 {figures['innocent_p99_ms']} ms, "
        f"max {figures['innocent_max_ms']} ms"
    )
    for at, why in failures[:3]:
        print(f"              at {at:.1f} s: {why}")
    if args.pid:
        print(
            f"  server      {figures['rss_before_mib']} MiB before, {figures['rss_max_mib']} MiB at most, "
            f"{figures['rss_after_mib']} MiB after"
        )


def write_files(args, figures, times, failures, memory):
    if args.json:
        with open(args.json, "w", encoding="ascii") as file:
            json.dump(figures, file, indent=1)
    seconds = by_second(args, times, failures, memory)
    if args.csv:
        with open(args.csv, "w", encoding="ascii") as file:
            file.write("second,rss_mib,innocent_requests,innocent_p50_ms,innocent_max_ms,innocent_failures\n")
            for row in seconds:
                file.write(",".join("" if value is None else str(value) for value in row) + "\n")
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as file:
            file.write(picture(figures, seconds))


def by_second(args, times, failures, memory):
    rows = []
    for second in range(int(args.seconds) + 2):
        here = sorted(took for at, took in times if second <= at < second + 1)
        mib = [mib for at, mib in memory if second <= at < second + 1]
        failed = sum(second <= at < second + 1 for at, _ in failures)
        most = round(max(mib), 1) if mib else None
        rows.append((second, most, len(here), percentile(here, 0.5), percentile(here, 1), failed))
    return rows


def picture(figures, seconds):
    """Two curves over the seconds: the server's memory, and the longest that the innocent waited."""
    width, height, margin = 640, 200, 48
    parts = []

    def curve(column, top, name, color):
        values = [row[column] or 0 for row in seconds]
        most = max(values + [1])
        step = (width - 2 * margin) / max(len(values) - 1, 1)
        points = " ".join(
            f"{margin + index * step:.1f},{top + height - margin - value / most * (height - 2 * margin):.1f}"
            for index, value in enumerate(values)
        )
        parts.append(f'<text x="{margin}" y="{top + 24}">{name}: {most:g} at most</text>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        base = top + height - margin
        parts.append(f'<line x1="{margin}" y1="{base}" x2="{width - margin}" y2="{base}" stroke="#888"/>')
        parts.append(f'<text x="{margin}" y="{base + 16}">0 s</text>')
        parts.append(f'<text x="{width - margin - 24}" y="{base + 16}">{len(values)} s</text>')

    curve(1, 24, "server, MiB", "#1f6fb2")
    curve(4, 24 + height, "innocent client, longest wait of a second, ms", "#b2451f")
    title = f"{figures['attack']}, {figures['connections']} connections"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{2 * height + 24}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{margin}" y="20" font-size="14">{title}</text>{"".join(parts)}</svg>\n'
    )


def verdict(args, figures):
    wrong = []
    if args.rss_max is not None and not 0 < (figures["rss_after_mib"] or 0):
        wrong.append("the server is gone, or --pid was not given")
    if args.rss_max is not None and (figures["rss_max_mib"] or 0) > args.rss_max:
        wrong.append(f"the server took more than {args.rss_max} MiB")
    if args.failures_max is not None and figures["innocent_failures"] > args.failures_max:
        wrong.append(f"more than {args.failures_max} requests of the innocent client failed")
    for what in wrong:
        print(f"  {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
