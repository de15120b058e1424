#include "sftpd/server.h"

#include <errno.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "sftpd/session.h"

/* libssh's window grows to what is asked of one ssh_channel_read(), and is 1.25
 * MiB otherwise. A client that reads no answers can make a server hold it
 * twice, here and in libssh: main.c says how much that may be. A mount that is
 * far away has several connections. */
#define IN_SIZE ((size_t)3 << 19)
/* More than this is given back when the client pauses. */
#define IN_KEEP ((size_t)1 << 20)

/* What both libssh2 1.10 and OpenSSH have. */
#define KEX     "curve25519-sha256,curve25519-sha256@libssh.org"
#define KEYS    "ssh-ed25519"
#define CIPHERS "aes128-gcm@openssh.com,aes128-ctr,aes256-ctr"
#define MACS    "hmac-sha2-256-etm@openssh.com,hmac-sha2-256"

struct server {
    ssh_bind bind;
    ssh_session ssh;
    ssh_key key; /* of the client */
    ssh_channel channel;
    bool authenticated, sftp, refused;
    int tries;
    struct ssh_server_callbacks_struct callbacks;
    struct ssh_channel_callbacks_struct channel_callbacks;
};

/* ---- what a client may ask ------------------------------------------------
 */

static int no_more_tries(struct server *v)
{
    if (++v->tries >= SFTPD_LOGIN_TRIES)
        v->refused = true;
    return SSH_AUTH_DENIED;
}

static int pubkey_cb(ssh_session ssh, const char *user, ssh_key key,
                     char signature_state, void *arg)
{
    struct server *v = arg;

    (void)ssh;
    (void)user; /* the key says who it is */
    if (v->refused || ssh_key_cmp(key, v->key, SSH_KEY_CMP_PUBLIC) != 0)
        return no_more_tries(v);
    if (signature_state == SSH_PUBLICKEY_STATE_NONE)
        return SSH_AUTH_SUCCESS; /* "would do": RFC 4252 7 */
    if (signature_state != SSH_PUBLICKEY_STATE_VALID)
        return no_more_tries(v);
    v->authenticated = true;
    return SSH_AUTH_SUCCESS;
}

static int subsystem_cb(ssh_session ssh, ssh_channel channel, const char *name,
                        void *arg)
{
    struct server *v = arg;

    (void)ssh;
    if (channel != v->channel || v->sftp || strcmp(name, "sftp") != 0)
        return 1;
    v->sftp = true;
    return 0;
}

/* libssh refuses one before the log-in by itself; we do not count on it. */
static ssh_channel channel_cb(ssh_session ssh, void *arg)
{
    struct server *v = arg;

    if (!v->authenticated || v->channel)
        return NULL;
    v->channel = ssh_channel_new(ssh);
    if (v->channel)
        ssh_set_channel_callbacks(v->channel, &v->channel_callbacks);
    return v->channel;
}

/* ---- the start ------------------------------------------------------------
 */

static int ssh_failed(struct server *v, struct tp_error *err, const char *what)
{
    return tp_error_set(err, -EPROTO, "%s: %s", what,
                        ssh_get_error(v->ssh ? (void *)v->ssh : v->bind));
}

static int set_options(struct server *v, const struct sftpd_settings *settings,
                       struct tp_error *err)
{
    static const struct {
        enum ssh_bind_options_e option;
        const char *value;
    } options[] = {
        {SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX},
        {SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, KEYS},
        {SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, KEYS},
        {SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS},
        {SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS},
        {SSH_BIND_OPTIONS_HMAC_C_S, MACS},
        {SSH_BIND_OPTIONS_HMAC_S_C, MACS},
    };
    static const bool no = false;
    ssh_key host = NULL;

    if (ssh_pki_import_privkey_base64(settings->host_key, NULL, NULL, NULL,
                                      &host) != SSH_OK)
        return tp_error_set(err, -EINVAL, "\"hostKey\" is no private key");
    /* Without files of the system: nothing there is ours. */
    ssh_bind_options_set(v->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    if (ssh_bind_options_set(v->bind, SSH_BIND_OPTIONS_IMPORT_KEY, host) < 0) {
        ssh_key_free(host);
        return ssh_failed(v, err, "host key");
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        if (ssh_bind_options_set(v->bind, options[i].option, options[i].value) <
            0)
            return ssh_failed(v, err, options[i].value);
    }
    return 0;
}

static void set_callbacks(struct server *v)
{
    v->callbacks = (struct ssh_server_callbacks_struct){
        .userdata = v,
        .auth_pubkey_function = pubkey_cb,
        .channel_open_request_session_function = channel_cb,
    };
    v->channel_callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = v,
        .channel_subsystem_request_function = subsystem_cb,
    };
    ssh_callbacks_init(&v->callbacks);
    ssh_callbacks_init(&v->channel_callbacks);
    ssh_set_server_callbacks(v->ssh, &v->callbacks);
    ssh_set_auth_methods(v->ssh, SSH_AUTH_METHOD_PUBLICKEY);
}

static int start(struct server *v, int fd,
                 const struct sftpd_settings *settings, struct tp_error *err)
{
    int rc;

    v->bind = ssh_bind_new();
    v->ssh = v->bind ? ssh_new() : NULL;
    if (!v->ssh)
        return tp_error_errno(err, -ENOMEM, "libssh");
    if (ssh_pki_import_pubkey_base64(settings->key, SSH_KEYTYPE_ED25519,
                                     &v->key) != SSH_OK)
        return tp_error_set(err, -EINVAL, "\"key\" is no ed25519 key");
    rc = set_options(v, settings, err);
    if (rc < 0)
        return rc;
    if (ssh_bind_accept_fd(v->bind, v->ssh, fd) != SSH_OK)
        return ssh_failed(v, err, "accept");
    set_callbacks(v);
    if (ssh_handle_key_exchange(v->ssh) != SSH_OK)
        return ssh_failed(v, err, "key exchange");
    return 0;
}

static time_t seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* The log-in, the channel, the subsystem; the alarm ends a client that sends
 * nothing. */
static int log_in(struct server *v, struct tp_error *err)
{
    ssh_event event = ssh_event_new();
    time_t end = seconds_now() + SFTPD_LOGIN_SECONDS;
    int rc = 0;

    if (!event || ssh_event_add_session(event, v->ssh) != SSH_OK)
        rc = tp_error_errno(err, -ENOMEM, "libssh");
    while (rc == 0 && !v->sftp) {
        if (v->refused)
            rc = tp_error_set(err, -EACCES, "not with the session's key");
        else if (seconds_now() >= end)
            rc = tp_error_set(err, -ETIMEDOUT, "no log-in in %d s",
                              SFTPD_LOGIN_SECONDS);
        else if (ssh_event_dopoll(event, 1000) == SSH_ERROR ||
                 !ssh_is_connected(v->ssh))
            rc = v->authenticated
                     ? tp_error_set(err, -EPROTO, "it left before sftp")
                     : tp_error_set(err, -EACCES, "it left before the log-in");
    }
    if (event) {
        ssh_event_remove_session(event, v->ssh);
        ssh_event_free(event);
    }
    return rc;
}

/* ---- SFTP -----------------------------------------------------------------
 */

/* Waits for the client's window. */
static int write_cb(void *arg, const void *data, size_t len)
{
    struct server *v = arg;
    const char *at = data;

    while (len > 0) {
        uint32_t part = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
        int done = ssh_channel_write(v->channel, at, part);

        if (done <= 0)
            return -EPIPE;
        at += done;
        len -= (size_t)done;
    }
    return 0;
}

/* `keep` bytes at the beginning of the buffer are still wanted. */
static void give_back(uint8_t *in, size_t size, size_t keep)
{
    size_t from = (keep + IN_KEEP) & ~(IN_KEEP - 1);

    if (from < size)
        madvise(in + from, size - from, MADV_DONTNEED);
}

static int pump(struct server *v, struct sftpd_session *s, uint8_t *in,
                size_t size)
{
    size_t used = 0, peak = 0;

    for (;;) {
        int got =
            ssh_channel_read(v->channel, in + used, (uint32_t)(size - used), 0);
        ssize_t done;

        if (got <= 0)
            return got < 0 && ssh_is_connected(v->ssh) ? -EIO : 0;
        used += (size_t)got;
        peak = used > peak ? used : peak;
        done = sftpd_session_input(s, in, used);
        if (done < 0)
            return done == -EPIPE ? 0 : (int)done;
        memmove(in, in + done, used - (size_t)done);
        used -= (size_t)done;
        if (peak > 2 * IN_KEEP && used < IN_KEEP) {
            give_back(in, size, used);
            peak = used;
        }
    }
}

static int serve_files(struct server *v, const struct sftpd_settings *settings,
                       struct tp_error *err)
{
    size_t size = IN_SIZE + 2 * SFTP_PACKET_MAX;
    struct sftpd_session *s = sftpd_session_create(
        &settings->exports, settings->read_only, write_cb, v);
    uint8_t *in = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc;

    if (!s || in == MAP_FAILED)
        rc = tp_error_errno(err, -ENOMEM, "SFTP");
    else if ((rc = pump(v, s, in, size)) < 0)
        tp_error_errno(err, rc, "SFTP");
    if (in != MAP_FAILED)
        munmap(in, size);
    sftpd_session_destroy(s);
    return rc;
}

int sftpd_serve(int fd, const struct sftpd_settings *settings,
                struct tp_error *err)
{
    struct server v = {0};
    int rc;

    alarm(SFTPD_LOGIN_SECONDS); /* ends the process */
    rc = start(&v, fd, settings, err);
    if (rc == 0)
        rc = log_in(&v, err);
    alarm(0);
    if (rc == 0) {
        log_debug("sftp began");
        rc = serve_files(&v, settings, err);
    }
    if (v.channel && ssh_is_connected(v.ssh)) {
        ssh_channel_send_eof(v.channel);
        ssh_channel_close(v.channel);
    }
    if (v.ssh)
        ssh_disconnect(v.ssh);
    ssh_key_free(v.key);
    ssh_free(v.ssh);
    ssh_bind_free(v.bind);
    return rc;
}
