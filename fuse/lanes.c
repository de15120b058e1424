#include "fuse/lanes.h"

static void dial_all(struct mount *m)
{
    if (!carrier_redials(m->lane_config.carrier))
        return;
    while (m->n_conns < CONNS_MAX)
        m->conns[m->n_conns++] = conn_create(&m->lane_config);
}

static void opened_cb(void *arg, int err)
{
    struct file *f = arg;

    if (err)
        f->one_lane = true; /* the first will do */
    file_unref(f);
}

static bool is_open(struct file *f, unsigned which)
{
    if (!conn_is_up(f->m->conns[which]))
        return false;
    if (file_has_handle(f, which))
        return true;
    if (f->h[which].state != HANDLE_OPENING && !node_is_gone(f->node)) {
        f->refs++;
        file_use(f, which, opened_cb, f);
    }
    return false;
}

unsigned lanes_pick(struct file *f, uint64_t window)
{
    struct mount *m = f->m;
    uint32_t granted = conn_window(m->conns[BULK]);
    unsigned best = f->which;

    if (best != BULK || f->append || f->one_lane ||
        m->lane_bytes[BULK] <= granted / 2)
        return best;
    if (window > granted)
        dial_all(m);
    for (unsigned i = BULK + 1; i < m->n_conns; i++)
        if (is_open(f, i) && m->lane_bytes[i] < m->lane_bytes[best])
            best = i;
    return best;
}
