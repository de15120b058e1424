"""The developer's program of the engagement tests, run in tp-test/tools.

Arguments: TCP ports ("8080") and UDP ports ("9001/udp"). It answers a GET with
the line "pod: local", anything else with "local:" before what came. Each
request is one line of its output: PORT and the path or the data.
"""

import os
import socket
import sys
import threading


def say(port, text):
    """In one write, as threads say it at once."""
    os.write(1, f"{port} {text}\n".encode())


def handle(connection, port):
    connection.settimeout(30)
    try:
        data = connection.recv(65536)
        if not data:
            return
        text = data.decode("latin-1")
        if text.startswith("GET "):
            say(port, text.split()[1])
            body = f"pod: local\nport: {port}\n"
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall((head + body).encode())
        else:
            say(port, text.strip())
            connection.sendall(b"local:" + data)
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    except OSError:
        pass
    finally:
        connection.close()


def serve_tcp(port):
    listener = socket.create_server(("", port), backlog=4096)
    say(port, "listening")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection, port), daemon=True).start()


def serve_udp(port):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("", port))
    say(port, "listening")
    while True:
        data, peer = receiver.recvfrom(65536)
        say(port, data.decode("latin-1").strip())
        receiver.sendto(b"local:" + data, peer)


threads = []
for argument in sys.argv[1:]:
    number, _, protocol = argument.partition("/")
    serve = serve_udp if protocol == "udp" else serve_tcp
    threads.append(threading.Thread(target=serve, args=(int(number),)))
for thread in threads:
    thread.start()
