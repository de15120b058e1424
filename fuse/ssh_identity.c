#include "fuse/ssh_identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/file.h"

#define KEY_BYTES         (64 * 1024)
#define KNOWN_HOSTS_BYTES (4 * 1024 * 1024)

/* Kinds of host keys, the best first. */
static const struct {
    int known; /* libssh2's number */
    const char *name, *methods;
} kinds[] = {
    {LIBSSH2_KNOWNHOST_KEY_ED25519, "ssh-ed25519", "ssh-ed25519"},
    {LIBSSH2_KNOWNHOST_KEY_ECDSA_256, "ecdsa-sha2-nistp256",
     "ecdsa-sha2-nistp256"},
    {LIBSSH2_KNOWNHOST_KEY_ECDSA_384, "ecdsa-sha2-nistp384",
     "ecdsa-sha2-nistp384"},
    {LIBSSH2_KNOWNHOST_KEY_ECDSA_521, "ecdsa-sha2-nistp521",
     "ecdsa-sha2-nistp521"},
    {LIBSSH2_KNOWNHOST_KEY_SSHRSA, "ssh-rsa", "rsa-sha2-512,rsa-sha2-256"},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int read_keys(struct ssh_identity *id, const struct mount_options *o,
                     struct tp_error *err)
{
    static const char *const usual[] = {"id_ed25519", "id_ecdsa", "id_rsa"};
    const char *home = getenv("HOME");
    char path[4096];

    if (o->broker_fd >= 0)
        return 0; /* each connection comes with its own */
    if (o->identity_fd >= 0) {
        snprintf(path, sizeof(path), "/dev/fd/%d", o->identity_fd);
        id->n_keys = 1;
        return file_read(path, KEY_BYTES, &id->keys[0], NULL, err);
    }
    if (o->identity) {
        id->n_keys = 1;
        return file_read(o->identity, KEY_BYTES, &id->keys[0], NULL, err);
    }
    for (size_t i = 0; home && i < sizeof(usual) / sizeof(usual[0]); i++) {
        snprintf(path, sizeof(path), "%s/.ssh/%s", home, usual[i]);
        if (file_read(path, KEY_BYTES, &id->keys[id->n_keys], NULL, NULL) == 0)
            id->n_keys++;
    }
    if (id->n_keys == 0)
        return tp_error_set(err, -ENOENT,
                            "no private key in ~/.ssh; give -o identity=FILE");
    return 0;
}

static int read_known_hosts(struct ssh_identity *id,
                            const struct mount_options *o, struct tp_error *err)
{
    cleanup_free char *mine = NULL, *theirs = NULL;
    const char *home = getenv("HOME");
    char path[4096];

    if (o->known_hosts)
        return file_read(o->known_hosts, KNOWN_HOSTS_BYTES, &id->known_hosts,
                         NULL, err);
    snprintf(path, sizeof(path), "%s/.ssh/known_hosts", home ? home : "");
    (void)file_read(path, KNOWN_HOSTS_BYTES, &mine, NULL, NULL);
    (void)file_read("/etc/ssh/ssh_known_hosts", KNOWN_HOSTS_BYTES, &theirs,
                    NULL, NULL);
    if (asprintf(&id->known_hosts, "%s\n%s\n", mine ? mine : "",
                 theirs ? theirs : "") < 0)
        return -ENOMEM;
    return 0;
}

struct ssh_identity *ssh_identity_create(const struct mount_options *o,
                                         struct tp_error *err)
{
    struct ssh_identity *id = calloc(1, sizeof(*id));
    int rc = -ENOMEM;

    if (id) {
        id->user = strdup(o->user);
        id->host = strdup(o->host);
        id->port = atoi(o->port);
        rc = read_keys(id, o, err);
    }
    if (rc == 0 && o->hostkey)
        rc = (id->hostkey = strdup(o->hostkey)) ? 0 : -ENOMEM;
    else if (rc == 0 && o->broker_fd < 0)
        rc = read_known_hosts(id, o, err);
    if (rc == 0)
        return id;
    if (rc == -ENOMEM)
        tp_error_set(err, rc, "out of memory");
    ssh_identity_destroy(id);
    return NULL;
}

struct ssh_identity *ssh_identity_given(const char *hostkey, const char *key)
{
    struct ssh_identity *id = calloc(1, sizeof(*id));

    if (!id)
        return NULL;
    id->user = strdup("tp"); /* any will do */
    id->host = strdup("the cluster's file server");
    id->hostkey = strdup(hostkey);
    id->keys[0] = strdup(key);
    id->n_keys = 1;
    if (id->user && id->host && id->hostkey && id->keys[0])
        return id;
    ssh_identity_destroy(id);
    return NULL;
}

void ssh_identity_destroy(struct ssh_identity *id)
{
    if (!id)
        return;
    for (size_t i = 0; i < id->n_keys; i++)
        secret_free(id->keys[i]);
    free(id->user);
    free(id->host);
    free(id->hostkey);
    free(id->known_hosts);
    free(id);
}

/* Lines that libssh2 cannot read (markers, comments) are as if not there. The
 * line's end belongs to it: 1.10 takes the last character away otherwise. */
static LIBSSH2_KNOWNHOSTS *parse_known_hosts(const struct ssh_identity *id,
                                             LIBSSH2_SESSION *s)
{
    LIBSSH2_KNOWNHOSTS *hosts = libssh2_knownhost_init(s);
    const char *line = id->known_hosts, *end;

    for (; hosts && line && *line; line = *end ? end + 1 : end) {
        end = strchrnul(line, '\n');
        if (end > line && *line != '#' && *line != '@')
            libssh2_knownhost_readline(hosts, line,
                                       (size_t)(end - line) + (*end == '\n'),
                                       LIBSSH2_KNOWNHOST_FILE_OPENSSH);
    }
    return hosts;
}

/* A key that nobody has: MISMATCH says that there is one of that kind. */
static bool knows_kind(LIBSSH2_KNOWNHOSTS *hosts, const struct ssh_identity *id,
                       size_t kind)
{
    return libssh2_knownhost_checkp(hosts, id->host, id->port, "x", 1,
                                    LIBSSH2_KNOWNHOST_TYPE_PLAIN |
                                        LIBSSH2_KNOWNHOST_KEYENC_RAW |
                                        kinds[kind].known,
                                    NULL) == LIBSSH2_KNOWNHOST_CHECK_MISMATCH;
}

int ssh_identity_prefer(const struct ssh_identity *id, LIBSSH2_SESSION *s,
                        struct tp_error *err)
{
    LIBSSH2_KNOWNHOSTS *hosts = NULL;
    char methods[256] = "";

    if (id->hostkey && !strncmp(id->hostkey, "SHA256:", 7))
        return 0;
    if (!id->hostkey)
        hosts = parse_known_hosts(id, s);
    for (size_t i = 0; i < N_KINDS; i++) {
        size_t len = strlen(kinds[i].name);
        bool wanted = id->hostkey ? !strncmp(id->hostkey, kinds[i].name, len) &&
                                        id->hostkey[len] == ' '
                                  : hosts && knows_kind(hosts, id, i);

        if (wanted)
            snprintf(methods + strlen(methods),
                     sizeof(methods) - strlen(methods), "%s%s",
                     *methods ? "," : "", kinds[i].methods);
    }
    if (hosts)
        libssh2_knownhost_free(hosts);
    if (!*methods)
        return tp_error_set(err, -EACCES,
                            "the key of host '%s' is not known: give -o "
                            "hostkey=KEY or -o known_hosts=FILE",
                            id->host);
    return libssh2_session_method_pref(s, LIBSSH2_METHOD_HOSTKEY, methods) < 0
               ? tp_error_set(err, -EINVAL,
                              "host key methods '%s' are not "
                              "supported",
                              methods)
               : 0;
}

static bool same_fingerprint(LIBSSH2_SESSION *s, const char *want)
{
    const char *hash = libssh2_hostkey_hash(s, LIBSSH2_HOSTKEY_HASH_SHA256);
    cleanup_free char *text = hash ? base64_encode(hash, 32) : NULL;
    size_t len;

    if (!text)
        return false;
    len = strcspn(text, "=");
    return !strncmp(text, want, len) &&
           want[len + strspn(want + len, "=")] == '\0';
}

/* "TYPE BASE64 [comment]" */
static bool same_key(const char *key, size_t len, const char *want)
{
    cleanup_free char *text = base64_encode(key, len);
    const char *at = strchr(want, ' ');
    size_t n;

    if (!text || !at)
        return false;
    at += strspn(at, " ");
    n = strcspn(at, " \n");
    return n == strlen(text) && !strncmp(at, text, n);
}

/* The key's text holds its kind, so the line of any kind will do. */
static bool is_known(const struct ssh_identity *id, LIBSSH2_SESSION *s,
                     const char *key, size_t len)
{
    LIBSSH2_KNOWNHOSTS *hosts = parse_known_hosts(id, s);
    cleanup_free char *text = base64_encode(key, len);
    bool known = false;

    for (size_t i = 0; hosts && text && i < N_KINDS && !known; i++)
        known = libssh2_knownhost_checkp(hosts, id->host, id->port, text, 0,
                                         LIBSSH2_KNOWNHOST_TYPE_PLAIN |
                                             LIBSSH2_KNOWNHOST_KEYENC_BASE64 |
                                             kinds[i].known,
                                         NULL) == LIBSSH2_KNOWNHOST_CHECK_MATCH;
    if (hosts)
        libssh2_knownhost_free(hosts);
    return known;
}

int ssh_identity_check(const struct ssh_identity *id, LIBSSH2_SESSION *s,
                       struct tp_error *err)
{
    size_t len;
    int type;
    const char *key = libssh2_session_hostkey(s, &len, &type);
    bool good;

    if (!key)
        good = false;
    else if (!id->hostkey)
        good = is_known(id, s, key, len);
    else if (!strncmp(id->hostkey, "SHA256:", 7))
        good = same_fingerprint(s, id->hostkey + 7);
    else
        good = same_key(key, len, id->hostkey);
    return good ? 0
                : tp_error_set(err, -EACCES,
                               "host '%s' shows another key than the one that "
                               "is known",
                               id->host);
}
