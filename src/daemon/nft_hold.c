#include "daemon/nft_hold.h"

#include <errno.h>
#include <netinet/in.h> /* before linux/in.h */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>

#include "base/log.h"
#include "daemon/datapath_marks.h"
#include "daemon/netlink.h"
#include "daemon/nft.h"

/* Behind chain out (-150) of table tp, before everybody else's filters. */
#define HOLD_PRIORITY  (-145)
#define SPORT_PRIORITY (-150)
/* xtables wants a target's data in multiples of 8. */
#define INFO_SIZE ((sizeof(struct xt_NFQ_info_v3) + 7u) & ~7u)

/* An expression in the making: without memory everything after it is void. */
static struct nftnl_expr *add(struct nftnl_rule *rule, const char *name)
{
    struct nftnl_expr *e = nftnl_expr_alloc(name);

    if (e)
        nftnl_rule_add_expr(rule, e);
    return e;
}

static int add_meta(struct nftnl_rule *rule, uint32_t key)
{
    struct nftnl_expr *e = add(rule, "meta");

    if (!e)
        return -ENOMEM;
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
    return 0;
}

static int add_equal(struct nftnl_rule *rule, const void *value, uint32_t len)
{
    struct nftnl_expr *e = add(rule, "cmp");

    if (!e)
        return -ENOMEM;
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
    nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, value, len);
    return 0;
}

static struct nftnl_expr *add_bitwise(struct nftnl_rule *rule, uint32_t op)
{
    struct nftnl_expr *e = add(rule, "bitwise");

    if (!e)
        return NULL;
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, 4);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, op);
    return e;
}

/* meta mark & 0xffff0000 == DATAPATH_MARK_SPORT, meta l4proto udp */
static int add_sport_match(struct nftnl_rule *rule)
{
    const uint32_t mark = DATAPATH_MARK_SPORT, mask = DATAPATH_MARK_SPORT_MASK,
                   zero = 0;
    const uint8_t proto = IPPROTO_UDP;
    struct nftnl_expr *e;

    if (add_meta(rule, NFT_META_L4PROTO) || add_equal(rule, &proto, 1) ||
        add_meta(rule, NFT_META_MARK))
        return -ENOMEM;
    e = add_bitwise(rule, NFT_BITWISE_BOOL);
    if (!e)
        return -ENOMEM;
    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof(zero));
    return add_equal(rule, &mark, sizeof(mark));
}

/* udp sport set (mark << 16 in network order, of which two bytes) */
static int add_sport_change(struct nftnl_rule *rule)
{
    const uint32_t shift = 16;
    struct nftnl_expr *e;

    if (add_meta(rule, NFT_META_MARK))
        return -ENOMEM;
    e = add_bitwise(rule, NFT_BITWISE_LSHIFT);
    if (!e)
        return -ENOMEM;
    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_DATA, &shift, sizeof(shift));
    e = add(rule, "byteorder");
    if (!e)
        return -ENOMEM;
    nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, 4);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, 4);
    e = add(rule, "payload");
    if (!e)
        return -ENOMEM;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE,
                       NFT_PAYLOAD_TRANSPORT_HEADER);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, 0);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, 2);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, 6);
    return 0;
}

/* The xtables target NFQUEUE through nft_compat. */
static int add_xt_queue(struct nftnl_rule *rule, uint16_t queue)
{
    struct nftnl_expr *e = add(rule, "target");
    struct xt_NFQ_info_v3 *info = e ? calloc(1, INFO_SIZE) : NULL;

    if (!info)
        return -ENOMEM;
    info->queuenum = queue;
    info->queues_total = 1;
    nftnl_expr_set_str(e, NFTNL_EXPR_TG_NAME, "NFQUEUE");
    nftnl_expr_set_u32(e, NFTNL_EXPR_TG_REV, 3);
    /* The expression owns info from here on. */
    nftnl_expr_set(e, NFTNL_EXPR_TG_INFO, info, INFO_SIZE);
    return 0;
}

static int add_queue(struct nftnl_rule *rule, enum nft_hold_kind kind,
                     uint16_t queue)
{
    const uint32_t mark = DATAPATH_MARK_HOLD;
    struct nftnl_expr *e;

    if (add_meta(rule, NFT_META_MARK) || add_equal(rule, &mark, sizeof(mark)))
        return -ENOMEM;
    if (kind == NFT_HOLD_XT)
        return add_xt_queue(rule, queue);
    e = add(rule, "queue");
    if (!e)
        return -ENOMEM;
    nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_NUM, queue);
    nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_TOTAL, 1);
    nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_FLAGS, 0);
    return 0;
}

static struct nlmsghdr *begin(struct mnl_nlmsg_batch *batch, uint16_t type,
                              uint16_t flags, uint32_t *seq)
{
    return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch), type,
                                 NFPROTO_INET, (uint16_t)(flags | NLM_F_ACK),
                                 ++*seq);
}

static int put_table(struct mnl_nlmsg_batch *batch, uint16_t type,
                     uint32_t *seq)
{
    struct nftnl_table *t = nftnl_table_alloc();
    struct nlmsghdr *nlh;

    if (!t)
        return -ENOMEM;
    nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, NFPROTO_INET);
    nftnl_table_set_str(t, NFTNL_TABLE_NAME, DATAPATH_HOLD_TABLE);
    nlh = begin(batch, type, NLM_F_CREATE, seq);
    nftnl_table_nlmsg_build_payload(nlh, t);
    nftnl_table_free(t);
    mnl_nlmsg_batch_next(batch);
    return 0;
}

static int put_chain(struct mnl_nlmsg_batch *batch, const char *name,
                     int priority, uint32_t *seq)
{
    struct nftnl_chain *c = nftnl_chain_alloc();
    struct nlmsghdr *nlh;

    if (!c)
        return -ENOMEM;
    nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, DATAPATH_HOLD_TABLE);
    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
    nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
    nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_OUT);
    nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, priority);
    nlh = begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, seq);
    nftnl_chain_nlmsg_build_payload(nlh, c);
    nftnl_chain_free(c);
    mnl_nlmsg_batch_next(batch);
    return 0;
}

static struct nftnl_rule *new_rule(const char *chain)
{
    struct nftnl_rule *r = nftnl_rule_alloc();

    if (!r)
        return NULL;
    nftnl_rule_set_str(r, NFTNL_RULE_TABLE, DATAPATH_HOLD_TABLE);
    nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
    nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, NFPROTO_INET);
    return r;
}

static void put_rule(struct mnl_nlmsg_batch *batch, struct nftnl_rule *r,
                     uint32_t *seq)
{
    struct nlmsghdr *nlh =
        begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, seq);

    nftnl_rule_nlmsg_build_payload(nlh, r);
    mnl_nlmsg_batch_next(batch);
}

static int put_sport(struct mnl_nlmsg_batch *batch, uint32_t *seq)
{
    struct nftnl_rule *r = new_rule("sport");
    int rc = put_chain(batch, "sport", SPORT_PRIORITY, seq);

    if (!rc)
        rc = r ? add_sport_match(r) : -ENOMEM;
    if (!rc)
        rc = add_sport_change(r);
    if (!rc)
        put_rule(batch, r, seq);
    if (r)
        nftnl_rule_free(r);
    return rc;
}

static int put_queue(struct mnl_nlmsg_batch *batch, enum nft_hold_kind kind,
                     uint16_t queue, uint32_t *seq)
{
    struct nftnl_rule *r;
    int rc;

    if (kind == NFT_HOLD_NONE)
        return 0;
    r = new_rule("out");
    rc = put_chain(batch, "out", HOLD_PRIORITY, seq);
    if (!rc)
        rc = r ? add_queue(r, kind, queue) : -ENOMEM;
    if (!rc)
        put_rule(batch, r, seq);
    if (r)
        nftnl_rule_free(r);
    return rc;
}

static int put_all(struct mnl_nlmsg_batch *batch, enum nft_hold_kind kind,
                   uint16_t queue, uint32_t *seq)
{
    int rc = put_table(batch, NFT_MSG_NEWTABLE, seq);

    if (!rc)
        rc = put_table(batch, NFT_MSG_DELTABLE, seq);
    if (!rc)
        rc = put_table(batch, NFT_MSG_NEWTABLE, seq);
    if (!rc)
        rc = put_sport(batch, seq);
    if (!rc)
        rc = put_queue(batch, kind, queue, seq);
    return rc;
}

/* One batch: everything between its begin and its end, or nothing. */
static int install(enum nft_hold_kind kind, uint16_t queue)
{
    char buf[8192];
    struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(buf, sizeof(buf) / 2);
    uint32_t seq = (uint32_t)time(NULL), last;
    int rc;

    if (!batch)
        return -ENOMEM;
    nftnl_batch_begin(mnl_nlmsg_batch_current(batch), ++seq);
    mnl_nlmsg_batch_next(batch);
    rc = put_all(batch, kind, queue, &seq);
    last = seq;
    nftnl_batch_end(mnl_nlmsg_batch_current(batch), ++seq);
    mnl_nlmsg_batch_next(batch);
    if (!rc)
        rc = netlink_request(NETLINK_NETFILTER, mnl_nlmsg_batch_head(batch),
                             mnl_nlmsg_batch_size(batch), last);
    mnl_nlmsg_batch_stop(batch);
    return rc;
}

int nft_hold_install(bool hold, uint16_t queue, enum nft_hold_kind *kind,
                     struct tp_error *err)
{
    static const enum nft_hold_kind kinds[] = {NFT_HOLD_NATIVE, NFT_HOLD_XT,
                                               NFT_HOLD_NONE};
    int rc = -EINVAL;

    for (size_t i = hold ? 0 : 2; i < sizeof(kinds) / sizeof(*kinds); i++) {
        *kind = kinds[i];
        rc = install(*kind, queue);
        if (!rc)
            return 0;
        log_debug("table " DATAPATH_HOLD_TABLE " with queue %s: %s",
                  nft_hold_name(*kind), strerror(-rc));
    }
    return tp_error_errno(err, rc, "nftables: table " DATAPATH_HOLD_TABLE);
}

int nft_hold_remove(struct tp_error *err)
{
    return nft_run("add table inet " DATAPATH_HOLD_TABLE "\n"
                   "delete table inet " DATAPATH_HOLD_TABLE "\n",
                   err);
}

const char *nft_hold_name(enum nft_hold_kind kind)
{
    static const char *const names[] = {
        [NFT_HOLD_NONE] = "none",
        [NFT_HOLD_NATIVE] = "nfqueue",
        [NFT_HOLD_XT] = "xt-nfqueue",
    };

    return names[kind];
}
