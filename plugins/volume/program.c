#include "program.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/log.h"

#define SAID_MAX 4096
#define CHUNK    4096

struct program_pipe {
    uv_pipe_t pipe; /* first */
    struct program *p;
    struct buf in;
    program_line_cb *cb;
};

struct program {
    uv_process_t process;
    struct program_config config;
    struct program_pipe said, lines;
    unsigned handles; /* that are not closed */
    bool exited;
    int status;
};

static void closed_cb(uv_handle_t *handle)
{
    struct program *p = handle->data;

    if (--p->handles > 0)
        return;
    /* As PID 1 we inherit what it left behind. */
    while (p->exited && waitpid(-p->process.pid, NULL, WNOHANG) > 0)
        ;
    buf_release(&p->said.in);
    buf_release(&p->lines.in);
    if (p->exited)
        p->config.ended_cb(p->config.arg, p->status);
    free(p);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, closed_cb);
}

/* A line that is longer than it may be is handed over in pieces. */
static void take_lines(struct program_pipe *pp, bool all)
{
    while (buf_used(&pp->in) > 0) {
        char *text = (char *)buf_head(&pp->in);
        size_t used = buf_used(&pp->in), len = 0;

        while (len < used && text[len] != '\n' && text[len] != '\0')
            len++;
        if (len == used && !all && buf_room(&pp->in) > 1)
            return;
        if (len == used && buf_append(&pp->in, "", 1) < 0)
            return;
        text = (char *)buf_head(&pp->in);
        text[len] = '\0';
        pp->cb(pp->p->config.arg, text);
        buf_consume(&pp->in, len + 1);
    }
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct program_pipe *pp = (struct program_pipe *)handle;
    size_t room = buf_room(&pp->in) - 1; /* for the NUL */
    uint8_t *data;

    (void)suggested;
    room = room < CHUNK ? room : CHUNK;
    data = room ? buf_reserve(&pp->in, room) : NULL;
    *buf = uv_buf_init((char *)data, data ? (unsigned)room : 0);
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct program_pipe *pp = (struct program_pipe *)stream;

    (void)buf;
    if (n > 0) {
        buf_commit(&pp->in, (size_t)n);
        take_lines(pp, false);
    } else if (n < 0) {
        take_lines(pp, true);
        close_handle((uv_handle_t *)stream);
    }
}

static void exited_cb(uv_process_t *process, int64_t status, int signal)
{
    struct program *p = process->data;

    p->exited = true;
    p->status = signal ? 128 + signal : (int)status;
    close_handle((uv_handle_t *)process);
}

static void init_pipe(struct program *p, struct program_pipe *pp, size_t max,
                      program_line_cb *cb)
{
    pp->p = p;
    pp->cb = cb;
    buf_init(&pp->in, max);
    uv_pipe_init(p->config.loop, &pp->pipe, 0);
    pp->pipe.data = p;
}

static int spawn(struct program *p)
{
    uv_stdio_container_t stdio[5] = {{.flags = UV_IGNORE},
                                     {.flags = UV_IGNORE}};
    uv_process_options_t options = {.exit_cb = exited_cb,
                                    .file = p->config.argv[0],
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 5,
                                    .stdio = stdio};

    memcpy(&options.args, &p->config.argv, sizeof(options.args));
    stdio[2].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    stdio[2].data.stream = (uv_stream_t *)&p->said.pipe;
    stdio[PROGRAM_SHARED_FD].flags = UV_INHERIT_FD;
    stdio[PROGRAM_SHARED_FD].data.fd = p->config.shared_fd;
    stdio[PROGRAM_LINES_FD].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    stdio[PROGRAM_LINES_FD].data.stream = (uv_stream_t *)&p->lines.pipe;
    return uv_spawn(p->config.loop, &p->process, &options);
}

struct program *program_start(const struct program_config *config)
{
    struct program *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return NULL;
    p->config = *config;
    p->handles = 3;
    p->process.data = p;
    init_pipe(p, &p->said, SAID_MAX, config->said_cb);
    init_pipe(p, &p->lines, PROGRAM_LINE_MAX, config->line_cb);
    rc = spawn(p);
    p->config.argv = NULL; /* the caller's */
    if (rc < 0) {
        log_error("%s: %s", config->argv[0], uv_strerror(rc));
        close_handle((uv_handle_t *)&p->process);
        close_handle((uv_handle_t *)&p->said.pipe);
        close_handle((uv_handle_t *)&p->lines.pipe);
        return NULL;
    }
    uv_read_start((uv_stream_t *)&p->said.pipe, alloc_cb, read_cb);
    uv_read_start((uv_stream_t *)&p->lines.pipe, alloc_cb, read_cb);
    return p;
}

void program_kill(struct program *p, int signal)
{
    if (!p || p->exited)
        return;
    if (signal == SIGKILL)
        kill(-p->process.pid, SIGKILL);
    uv_process_kill(&p->process, signal);
}
