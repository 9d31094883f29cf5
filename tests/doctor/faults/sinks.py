"""Collectors of log lines that do not take them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def collector(status: int | None) -> Iterator[str]:
    """The address of one that answers each request with this status; None: with nothing."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)
    held: list[socket.socket] = []

    def serve(client: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(65_536):
                if status is not None and b"\r\n\r\n" in piece:
                    head = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    client.sendall(head.encode())
                    client.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                held.append(client)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        for client in held:
            client.close()
