"""Canaries: TCP listeners outside of all regions. Whoever reaches most of them has a network that is well.

usage: canary.py ADDRESS…    (port 7)
"""
import selectors
import socket
import sys

if __name__ == "__main__":
    s = selectors.DefaultSelector()
    for address in sys.argv[1:]:
        s.register(socket.create_server((address, 7)), selectors.EVENT_READ)
    while True:
        for key, _ in s.select():
            key.fileobj.accept()[0].close()
