#include "daemon/hold_queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h> /* before linux/in.h */
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "base/log.h"
#include "daemon/datapath_marks.h"

/* SYNs that may wait; beyond it the kernel drops, the client retransmits. */
#define QUEUE_LENGTH   8192
#define RECEIVE_BUFFER (4 << 20)
#define BATCH          64 /* packets before other events get their turn */

struct hold_queue {
    struct mnl_socket *nl;
    uv_poll_t poll;
    hold_syn_cb *cb;
    void *arg;
    uint16_t number;
};

enum hold_verdict hold_verdict_of(int error)
{
    switch (error) {
    case 0:
        return HOLD_ACCEPT;
    case -ECONNREFUSED:
        return HOLD_RESET;
    case -ENETUNREACH:
        return HOLD_NET;
    case -EACCES:
    case -EPERM:
        return HOLD_PROHIBIT;
    case -ETIMEDOUT: /* the client's own SYN timer decides */
    case -EMFILE:    /* the next retransmit may find room */
    case -EAGAIN:
    case -ENOMEM:
        return HOLD_DROP;
    default:
        return HOLD_HOST;
    }
}

/* Sends one configuration message and waits for its ack (blocking: start). */
static int configure(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
    char buf[1024];
    ssize_t n;

    nlh->nlmsg_flags |= NLM_F_ACK;
    if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
        return -errno;
    n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
    if (n < 0)
        return -errno;
    if (mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(nl), NULL, NULL) <
        0)
        return -errno;
    return 0;
}

static int bind_queue(struct mnl_socket *nl, uint16_t number)
{
    char buf[256];
    struct nlmsghdr *nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);

    nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    return configure(nl, nlh);
}

static int set_parameters(struct mnl_socket *nl, uint16_t number)
{
    char buf[256];
    struct nlmsghdr *nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);

    nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, PACKET_SNAPLEN);
    nfq_nlmsg_cfg_put_qmaxlen(nlh, QUEUE_LENGTH);
    return configure(nl, nlh);
}

/* Another queue's reader in this namespace may have the first ones. */
static int take_queue(struct hold_queue *q)
{
    int rc = -EBUSY;

    for (uint16_t i = 0; rc && i < DATAPATH_QUEUE_TRIES; i++) {
        q->number = (uint16_t)(DATAPATH_QUEUE_FIRST + i);
        rc = bind_queue(q->nl, q->number);
    }
    return rc ? rc : set_parameters(q->nl, q->number);
}

static int on_packet(const struct nlmsghdr *nlh, void *data)
{
    struct hold_queue *q = data;
    struct nlattr *attr[NFQA_MAX + 1] = {NULL};
    const struct nfqnl_msg_packet_hdr *head;
    struct packet_syn syn;
    uint32_t id;

    if (nfq_nlmsg_parse(nlh, attr) < 0 || !attr[NFQA_PACKET_HDR])
        return MNL_CB_OK;
    head = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
    id = ntohl(head->packet_id);
    if (attr[NFQA_PAYLOAD] &&
        packet_parse_syn(mnl_attr_get_payload(attr[NFQA_PAYLOAD]),
                         mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]),
                         &syn) == 0)
        q->cb(q->arg, id, &syn);
    else
        hold_queue_verdict(q, id, HOLD_DROP);
    return MNL_CB_OK;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct hold_queue *q = poll->data;
    char buf[8192];

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < BATCH; i++) {
        ssize_t n =
            recv(mnl_socket_get_fd(q->nl), buf, sizeof(buf), MSG_DONTWAIT);

        if (n < 0 && errno == ENOBUFS)
            continue; /* some were lost; their clients retransmit */
        if (n <= 0)
            return;
        mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(q->nl), on_packet,
                   q);
    }
}

static int open_socket(struct hold_queue *q)
{
    const struct timeval limit = {.tv_sec = 5};
    const int size = RECEIVE_BUFFER;
    int fd;

    q->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (!q->nl || mnl_socket_bind(q->nl, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    fd = mnl_socket_get_fd(q->nl);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    return take_queue(q);
}

struct hold_queue *hold_queue_open(uv_loop_t *loop, hold_syn_cb *cb, void *arg,
                                   struct tp_error *err)
{
    struct hold_queue *q = calloc(1, sizeof(*q));
    int rc = q ? open_socket(q) : -ENOMEM;

    if (!rc)
        rc = uv_poll_init(loop, &q->poll, mnl_socket_get_fd(q->nl));
    if (rc) {
        if (q && q->nl)
            mnl_socket_close(q->nl);
        free(q);
        tp_error_errno(err, rc, "queue for first SYNs");
        return NULL;
    }
    q->cb = cb;
    q->arg = arg;
    q->poll.data = q;
    uv_poll_start(&q->poll, UV_READABLE, on_readable);
    return q;
}

uint16_t hold_queue_number(const struct hold_queue *q)
{
    return q->number;
}

static uint32_t mark_of(enum hold_verdict verdict)
{
    static const uint32_t marks[] = {
        [HOLD_DROP] = DATAPATH_MARK_HOLD, /* not used */
        [HOLD_ACCEPT] = DATAPATH_MARK_CAPTURE,
        [HOLD_RESET] = DATAPATH_MARK_RESET,
        [HOLD_HOST] = DATAPATH_MARK_HOST,
        [HOLD_NET] = DATAPATH_MARK_NET,
        [HOLD_PROHIBIT] = DATAPATH_MARK_PROHIBIT,
    };

    return marks[verdict];
}

void hold_queue_verdict(struct hold_queue *q, uint32_t id,
                        enum hold_verdict verdict)
{
    char buf[256];
    struct nlmsghdr *nlh = nfq_nlmsg_put(buf, NFQNL_MSG_VERDICT, q->number);

    nfq_nlmsg_verdict_put(nlh, (int)id,
                          verdict == HOLD_DROP ? NF_DROP : NF_ACCEPT);
    nfq_nlmsg_verdict_put_mark(nlh, mark_of(verdict));
    if (mnl_socket_sendto(q->nl, nlh, nlh->nlmsg_len) < 0)
        log_debug("verdict on a held SYN: errno %d", errno);
}

static void on_closed(uv_handle_t *handle)
{
    struct hold_queue *q = handle->data;

    mnl_socket_close(q->nl);
    free(q);
}

void hold_queue_close(struct hold_queue *q)
{
    if (!q)
        return;
    uv_close((uv_handle_t *)&q->poll, on_closed);
}
