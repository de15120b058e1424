/*
 * files_server.c - processes of tp-agent-sftp
 *
 * Each gets its connection as descriptor 3 and its settings, in a memory file,
 * as 4; no argument and no variable, as ours are the app's. It ends when its
 * connection does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/files_internal.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"

static int settings_file(const struct files *f, const struct files_grant *g)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    cleanup_close int fd = memfd_create("tp-files", MFD_CLOEXEC);
    const char *text;
    size_t len;
    int out = fd;

    if (fd < 0)
        return -errno;
    json_put_str(obj, "key", g->key);
    json_put_str(obj, "hostKey", f->host.private_pem);
    json_object_object_add(obj, "readOnly",
                           json_object_new_boolean(g->read_only));
    files_put_exports(f, g, obj);
    text = json_to_text(obj);
    len = text ? strlen(text) : 0;
    if (len == 0 || write(fd, text, len) != (ssize_t)len ||
        lseek(fd, 0, SEEK_SET) < 0)
        return -EIO;
    fd = -1;
    return out;
}

static void closed_cb(uv_handle_t *handle)
{
    struct files_server *server = handle->data;
    struct files *f = server->f;

    LIST_REMOVE(server, entry);
    free(server);
    if (--f->count == 0 && f->closing)
        files_release(f);
}

static void exit_cb(uv_process_t *process, int64_t status, int number)
{
    if (number != 0 && number != SIGKILL)
        log_warn("tp-agent-sftp ended by signal %d", number);
    else
        log_debug("tp-agent-sftp ended: %lld", (long long)status);
    uv_close((uv_handle_t *)process, closed_cb);
}

static int spawn(struct files_server *server, int connection, int settings)
{
    struct files *f = server->f;
    char *args[] = {f->program, NULL}, *env[] = {NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = connection},
        {.flags = UV_INHERIT_FD, .data.fd = settings},
    };
    uv_process_options_t options = {
        .exit_cb = exit_cb,
        .file = f->program,
        .args = args,
        .env = env,
        .cwd = "/",
        .stdio_count = sizeof(stdio) / sizeof(*stdio),
        .stdio = stdio,
    };
    int rc = uv_spawn(f->loop, &server->process, &options);

    server->process.data = server;
    if (rc < 0) {
        log_error("%s: %s", f->program, uv_strerror(rc));
        uv_close((uv_handle_t *)&server->process, closed_cb);
    }
    return rc;
}

int files_server_start(struct files *f, const struct files_grant *g)
{
    cleanup_close int settings = -1;
    struct files_server *server;
    int pair[2], rc;

    if (f->closing || f->count >= FILES_SERVERS)
        return -EMFILE;
    settings = settings_file(f, g);
    if (settings < 0)
        return settings;
    server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        free(server);
        return -errno;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    server->f = f;
    LIST_INSERT_HEAD(&f->servers, server, entry);
    f->count++;
    rc = spawn(server, pair[1], settings);
    close(pair[1]);
    if (rc == 0)
        return pair[0];
    close(pair[0]);
    return rc;
}

void files_server_stop(struct files_server *server)
{
    if (!uv_is_closing((uv_handle_t *)&server->process))
        uv_process_kill(&server->process, SIGKILL);
}
