/*
 * A transport that another thread runs: cryptography beside SFTP.
 *
 * The thread alone touches the inner transport. Between it and the loop are two
 * rings of bytes, each with one writer and one reader; the lock guards their
 * indices and the flags, not the bytes. Who finds nothing to do says so
 * (asleep, awaited), and is woken by an eventfd; `base.fd` is the loop's. The
 * thread is made under the worker's seccomp filter and without capabilities,
 * which it inherits (confine.c).
 */
#include "fuse/transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BYTES  (256u * 1024) /* a power of two */
#define STACK_BYTES (1024u * 1024)
#define STALL_MS    100 /* what is written is tried again, whatever happens */

struct ring {
    uint8_t *data;
    uint64_t head, tail; /* bytes put in and taken out */
};

enum thread_state {
    THREAD_OPENING,
    THREAD_OPEN, /* bytes move */
    THREAD_OVER, /* `result` says why */
};

struct thread_transport {
    struct transport base;
    struct transport *inner;
    pthread_t thread;
    pthread_mutex_t lock;
    int wake; /* the thread's */
    /* under the lock */
    enum thread_state state;
    int result; /* 0: the end of the stream */
    struct tp_error failure;
    struct ring in, out;
    uint32_t window;
    bool stop;
    bool changed;                /* by the loop, since the thread looked */
    bool asleep;                 /* the thread waits in poll() */
    bool told;                   /* the loop's eventfd is up */
    bool awaited;                /* the loop waits for room in `out` */
    bool tell_loop, tell_thread; /* when the lock is let go */
};

static size_t ring_used(const struct ring *r)
{
    return (size_t)(r->head - r->tail);
}

/* The part at this index that does not wrap, at most len bytes. */
static size_t ring_part(uint64_t index, size_t len)
{
    size_t left = RING_BYTES - (size_t)(index % RING_BYTES);

    return len < left ? len : left;
}

static void ring_put(struct ring *r, uint64_t at, const void *from, size_t len)
{
    size_t first = ring_part(at, len);

    memcpy(r->data + at % RING_BYTES, from, first);
    memcpy(r->data, (const uint8_t *)from + first, len - first);
}

static void ring_get(const struct ring *r, uint64_t at, void *to, size_t len)
{
    size_t first = ring_part(at, len);

    memcpy(to, r->data + at % RING_BYTES, first);
    memcpy((uint8_t *)to + first, r->data, len - first);
}

static void event_up(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));

    (void)n; /* it is up already, then */
}

static void event_down(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));

    (void)n;
}

static void lock(struct thread_transport *t)
{
    pthread_mutex_lock(&t->lock);
}

/* Who was told meanwhile is woken: the thread when it can have the lock, the
 * loop before, as its flag and its event must agree. */
static void unlock(struct thread_transport *t)
{
    bool loop = t->tell_loop && !t->told, thread = t->tell_thread && t->asleep;

    if (loop)
        event_up(t->base.fd);
    t->told |= loop;
    t->asleep &= !thread;
    t->tell_loop = t->tell_thread = false;
    pthread_mutex_unlock(&t->lock);
    if (thread)
        event_up(t->wake);
}

/* The thread's side. Each returns whether something moved. */

static void end(struct thread_transport *t, int result)
{
    lock(t);
    t->state = THREAD_OVER;
    t->result = result;
    t->tell_loop = true;
    unlock(t);
}

static bool try_open(struct thread_transport *t)
{
    struct tp_error err = {0};
    int rc = t->inner->ops->open(t->inner, &err);

    if (rc == -EAGAIN)
        return false;
    lock(t);
    t->state = rc == 0 ? THREAD_OPEN : THREAD_OVER;
    t->result = rc;
    t->failure = err;
    t->tell_loop = true;
    unlock(t);
    return true;
}

static bool take_in(struct thread_transport *t)
{
    uint64_t head = t->in.head; /* only this thread changes it */
    size_t room;
    ssize_t n;

    lock(t);
    room = RING_BYTES - ring_used(&t->in);
    unlock(t);
    if (room == 0)
        return false;
    n = t->inner->ops->read(t->inner, t->in.data + head % RING_BYTES,
                            ring_part(head, room));
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        end(t, (int)n);
        return true;
    }
    lock(t);
    t->in.head += (uint64_t)n;
    t->tell_loop = true;
    unlock(t);
    return true;
}

static void gave(struct thread_transport *t, size_t n)
{
    lock(t);
    t->out.tail += n;
    t->window = t->inner->window;
    if (t->awaited && ring_used(&t->out) <= RING_BYTES / 2) {
        t->awaited = false;
        t->tell_loop = true;
    }
    unlock(t);
}

static bool give_out(struct thread_transport *t)
{
    uint64_t tail = t->out.tail;
    struct iovec iov;
    size_t used;
    ssize_t n;

    lock(t);
    used = ring_used(&t->out);
    unlock(t);
    iov.iov_base = t->out.data + tail % RING_BYTES;
    iov.iov_len = ring_part(tail, used);
    n = used ? t->inner->ops->write(t->inner, &iov, 1)
             : t->inner->ops->flush(t->inner);
    if (n > 0)
        gave(t, (size_t)n);
    else if (n < 0 && n != -EAGAIN)
        end(t, (int)n);
    return n > 0;
}

/* Nothing moves: waits for the socket or the loop. */
static void rest(struct thread_transport *t)
{
    struct pollfd fds[] = {{.fd = t->inner->fd},
                           {.fd = t->wake, .events = POLLIN}};
    bool full, more, changed;

    lock(t);
    full = ring_used(&t->in) == RING_BYTES;
    more = ring_used(&t->out) > 0;
    changed = t->changed;
    t->asleep = !changed;
    unlock(t);
    if (changed)
        return;
    fds[0].events = t->inner->ops->events(t->inner, more);
    if (full)
        fds[0].events &= ~POLLIN;
    if (fds[0].events == 0)
        fds[0].fd = -1; /* or its hang-up would be told for ever */
    poll(fds, 2, more ? STALL_MS : -1);
    if (fds[1].revents)
        event_down(t->wake);
}

static bool goes_on(struct thread_transport *t, enum thread_state *state)
{
    bool stop;

    lock(t);
    stop = t->stop;
    t->asleep = t->changed = false;
    *state = t->state;
    unlock(t);
    return !stop && *state != THREAD_OVER;
}

static void *run(void *arg)
{
    struct thread_transport *t = arg;
    enum thread_state state;

    while (goes_on(t, &state)) {
        bool moved = state == THREAD_OPENING ? try_open(t) : give_out(t);

        if (state == THREAD_OPEN)
            moved |= take_in(t);
        if (!moved)
            rest(t);
    }
    return NULL;
}

/* The loop's side. */

static int thread_open(struct transport *base, struct tp_error *err)
{
    struct thread_transport *t = (struct thread_transport *)base;
    int rc;

    lock(t);
    if (t->told)
        event_down(base->fd);
    t->told = false;
    rc = t->state == THREAD_OPENING ? -EAGAIN : t->result;
    if (rc < 0 && rc != -EAGAIN)
        *err = t->failure;
    unlock(t);
    return rc;
}

static ssize_t thread_read(struct transport *base, void *buf, size_t len)
{
    struct thread_transport *t = (struct thread_transport *)base;
    uint64_t tail = t->in.tail; /* only the loop changes it */
    size_t used;
    int rc = -EAGAIN;

    lock(t);
    used = ring_used(&t->in);
    if (used == 0 && t->state == THREAD_OVER)
        rc = t->result;
    if (used == 0 && t->told) {
        event_down(base->fd);
        t->told = false;
    }
    unlock(t);
    if (used == 0)
        return rc;
    if (len > used)
        len = used;
    ring_get(&t->in, tail, buf, len);
    lock(t);
    /* Only a thread that waits for this is woken. */
    t->tell_thread = ring_used(&t->in) == RING_BYTES;
    t->changed = true;
    t->in.tail += len;
    unlock(t);
    return (ssize_t)len;
}

static ssize_t thread_write(struct transport *base, const struct iovec *iov,
                            int n)
{
    struct thread_transport *t = (struct thread_transport *)base;
    uint64_t head = t->out.head;
    size_t room, done = 0;
    bool over;

    lock(t);
    room = RING_BYTES - ring_used(&t->out);
    over = t->state == THREAD_OVER;
    t->awaited = room == 0;
    base->window = t->window;
    unlock(t);
    if (over)
        return -ECONNRESET; /* reading says why */
    if (room == 0)
        return -EAGAIN;
    for (int i = 0; i < n && done < room; i++) {
        size_t len = iov[i].iov_len;

        if (len > room - done)
            len = room - done;
        ring_put(&t->out, head + done, iov[i].iov_base, len);
        done += len;
    }
    lock(t);
    t->tell_thread = ring_used(&t->out) == 0;
    t->changed = true;
    t->out.head += done;
    unlock(t);
    return (ssize_t)done;
}

static int thread_flush(struct transport *base)
{
    (void)base; /* the thread does */
    return 0;
}

static short thread_events(struct transport *base, bool wants_write)
{
    (void)base;
    (void)wants_write; /* room is told by the same event */
    return POLLIN;
}

static void release(struct thread_transport *t)
{
    if (t->base.fd >= 0)
        close(t->base.fd);
    if (t->wake >= 0)
        close(t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t->in.data);
    free(t->out.data);
    free(t);
}

/* The thread never waits for the peer, so it is gone at once. */
static void thread_destroy(struct transport *base)
{
    struct thread_transport *t = (struct thread_transport *)base;

    lock(t);
    t->stop = true;
    t->changed = t->tell_thread = true;
    unlock(t);
    pthread_join(t->thread, NULL);
    t->inner->ops->destroy(t->inner);
    release(t);
}

static const struct transport_ops thread_ops = {
    .open = thread_open,
    .read = thread_read,
    .write = thread_write,
    .flush = thread_flush,
    .events = thread_events,
    .destroy = thread_destroy,
};

/* Signals are the loop's. */
static int start(struct thread_transport *t)
{
    sigset_t all, before;
    pthread_attr_t attr;
    int rc;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&t->thread, &attr, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}

struct transport *transport_create_thread(struct transport *inner)
{
    struct thread_transport *t = calloc(1, sizeof(*t));

    if (!t)
        return inner;
    pthread_mutex_init(&t->lock, NULL);
    t->base.ops = &thread_ops;
    t->base.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    t->inner = inner;
    t->in.data = malloc(RING_BYTES);
    t->out.data = malloc(RING_BYTES);
    if (t->base.fd >= 0 && t->wake >= 0 && t->in.data && t->out.data &&
        start(t) == 0)
        return &t->base;
    release(t);
    return inner;
}
