/*
 * socket.h - what is done with a TCP socket that has no stream around it
 */
#ifndef TP_NET_SOCKET_H
#define TP_NET_SOCKET_H

/* Closes it with an RST. For a connection that failed: an orderly end would
 * tell the peer that all went well, and keep the port for a minute (TIME_WAIT).
 */
void socket_abort(int fd);

#endif
