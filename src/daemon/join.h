/*
 * join.h - standard streams joined to a socket, for programs that the Engine
 * API starts in this container
 */
#ifndef TP_DAEMON_JOIN_H
#define TP_DAEMON_JOIN_H

/* Moves bytes from `in` to fd and from fd to `out`, both at once, until fd has
 * ended and all of it is out; the end of `in` ends only that direction. The
 * descriptors become non-blocking. What was moved is wiped. 0 or a negative
 * errno. */
int join_run(int fd, int in, int out);

/* A connection to the unix socket at path: a descriptor or a negative errno. */
int join_connect(const char *path);

#endif
