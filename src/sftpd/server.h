/*
 * server.h - the SSH server of one connection (RFC 4251 to 4254), by libssh
 *
 * The only thing that a client can do is to show the one key, by publickey with
 * ssh-ed25519, and to open one session channel with the subsystem sftp. All
 * else is refused: other keys and ways to log in, a second channel, exec,
 * shell, pty, environment, forwarding of any kind, compression.
 */
#ifndef TP_SFTPD_SERVER_H
#define TP_SFTPD_SERVER_H

#include "sftpd/settings.h"

/* Seconds from the first byte to the request for sftp. */
#define SFTPD_LOGIN_SECONDS 30
#define SFTPD_LOGIN_TRIES   4

/* Serves the connection fd, which is taken over, to its end. 0, or a negative
 * errno with err: -EACCES (nobody with the key came), -ETIMEDOUT, -EPROTO. */
int sftpd_serve(int fd, const struct sftpd_settings *settings,
                struct tp_error *err);

#endif
