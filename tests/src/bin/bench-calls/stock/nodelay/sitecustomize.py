# Sets TCP_NODELAY on accepted connections: the agents bind their socket themselves, without naming the protocol, so that
# asyncio does not.
import socket

accept = socket.socket.accept


def accept_without_delay(self):
    connection, address = accept(self)
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection, address


socket.socket.accept = accept_without_delay
