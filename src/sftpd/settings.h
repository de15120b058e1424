/*
 * settings.h - what tp-agent tells tp-agent-sftp, by a file descriptor
 *
 *   {"key": "ssh-ed25519 BASE64", "hostKey": PEM, "readOnly": false,
 *    "exports": [{"path": "/data", "source": "/run/tp/files/app/data",
 *                 "readOnly": true}]}
 *
 * A descriptor and not an argument: keys are for nobody else's eyes.
 */
#ifndef TP_SFTPD_SETTINGS_H
#define TP_SFTPD_SETTINGS_H

#include "sftpd/exports.h"

#define SFTPD_SETTINGS_MAX (64 * 1024)

struct sftpd_settings {
    char *key;      /* base64 of the only key that may come in */
    char *host_key; /* private, PEM */
    bool read_only;
    struct sftpd_exports exports;
};

/* Reads fd to its end. Release it in any case. -EINVAL, -EMSGSIZE, ... */
int sftpd_settings_read(struct sftpd_settings *s, int fd, struct tp_error *err);
int sftpd_settings_parse(struct sftpd_settings *s, const char *text, size_t len,
                         struct tp_error *err);
void sftpd_settings_release(struct sftpd_settings *s);

#endif
