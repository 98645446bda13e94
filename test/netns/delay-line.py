"""A cable that takes its time: two TUN devices, one in each of two network namespaces, with a delay line between them.

    python3 delay-line.py MILLISECONDS NAMESPACE DEVICE NAMESPACE DEVICE

Ends when both devices are there, and leaves a process in the first namespace that carries the packets, each way on its
own and in order. The devices are gone when that process is.
"""
import collections
import ctypes
import errno
import fcntl
import os
import selectors
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
# A packet is never larger: the devices have no offloads, so the kernel cuts what is (MTU 1500).
PACKET_BYTES = 2048
# What a router keeps waiting at most; it drops what comes on top.
QUEUE_PACKETS = 20_000
# Packets read in a row before the other way has its turn.
BATCH_PACKETS = 64


def open_device(namespace, name):
    with open(f"/run/netns/{namespace}") as place:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Way:
    """From one device to the other."""

    def __init__(self, source, sink, delay):
        self.source, self.sink, self.delay = source, sink, delay
        self.waiting = collections.deque()

    def take(self):
        for _ in range(BATCH_PACKETS):
            try:
                packet = os.read(self.source, PACKET_BYTES)
            except BlockingIOError:
                return
            if len(self.waiting) < QUEUE_PACKETS:
                self.waiting.append((time.monotonic() + self.delay, packet))

    def give(self):
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            try:
                os.write(self.sink, self.waiting.popleft()[1])
            except OSError as error:
                # The other end is down, and the packet lost; or it was taken away, and the cable with it.
                if error.errno == errno.EBADFD:
                    raise


def carry(devices, delay):
    ways = [Way(*devices, delay), Way(*reversed(devices), delay)]
    selector = selectors.DefaultSelector()
    for way in ways:
        selector.register(way.source, selectors.EVENT_READ, way)
    while True:
        due = [way.waiting[0][0] for way in ways if way.waiting]
        timeout = max(0, min(due) - time.monotonic()) if due else None
        for key, _ in selector.select(timeout):
            key.data.take()
        for way in ways:
            way.give()


def main():
    milliseconds, near, near_device, far, far_device = sys.argv[1:]
    there = open_device(far, far_device)
    here = open_device(near, near_device)
    if os.fork() != 0:
        return
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    carry([here, there], float(milliseconds) / 1000)


main()
