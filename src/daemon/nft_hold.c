#include "daemon/nft_hold.h"

#include <errno.h>
#include <netinet/in.h> /* before linux/in.h */
#include <stdio.h>
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
#define HOLD_PRIORITY (-145)
#define CHAIN         "out"
/* xtables wants a target's data in multiples of 8. */
#define INFO_SIZE ((sizeof(struct xt_NFQ_info_v3) + 7u) & ~7u)

static int install_native(uint16_t queue)
{
    char text[512];

    snprintf(text, sizeof(text),
             "add table inet " DATAPATH_HOLD_TABLE "\n"
             "delete table inet " DATAPATH_HOLD_TABLE "\n"
             "table inet " DATAPATH_HOLD_TABLE " { chain " CHAIN
             " { type filter hook output priority %d;\n"
             "meta mark 0x%08x queue num %u\n} }\n",
             HOLD_PRIORITY, DATAPATH_MARK_HOLD, queue);
    return nft_run(text, NULL);
}

/* `meta mark == HOLD` as the kernel's registers see it. */
static int add_mark_match(struct nftnl_rule *rule)
{
    const uint32_t mark = DATAPATH_MARK_HOLD;
    struct nftnl_expr *meta = nftnl_expr_alloc("meta");
    struct nftnl_expr *cmp = nftnl_expr_alloc("cmp");

    if (!meta || !cmp) {
        if (meta)
            nftnl_expr_free(meta);
        if (cmp)
            nftnl_expr_free(cmp);
        return -ENOMEM;
    }
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, NFT_META_MARK);
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, NFT_REG_1);
    nftnl_rule_add_expr(rule, meta);
    nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
    nftnl_expr_set(cmp, NFTNL_EXPR_CMP_DATA, &mark, sizeof(mark));
    nftnl_rule_add_expr(rule, cmp);
    return 0;
}

/* The xtables target NFQUEUE through nft_compat. */
static int add_queue_target(struct nftnl_rule *rule, uint16_t queue)
{
    struct nftnl_expr *e = nftnl_expr_alloc("target");
    struct xt_NFQ_info_v3 *info = calloc(1, INFO_SIZE);

    if (!e || !info) {
        if (e)
            nftnl_expr_free(e);
        free(info);
        return -ENOMEM;
    }
    info->queuenum = queue;
    info->queues_total = 1;
    nftnl_expr_set_str(e, NFTNL_EXPR_TG_NAME, "NFQUEUE");
    nftnl_expr_set_u32(e, NFTNL_EXPR_TG_REV, 3);
    /* The expression owns info from here on. */
    nftnl_expr_set(e, NFTNL_EXPR_TG_INFO, info, INFO_SIZE);
    nftnl_rule_add_expr(rule, e);
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

static int put_chain(struct mnl_nlmsg_batch *batch, uint32_t *seq)
{
    struct nftnl_chain *c = nftnl_chain_alloc();
    struct nlmsghdr *nlh;

    if (!c)
        return -ENOMEM;
    nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, DATAPATH_HOLD_TABLE);
    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, CHAIN);
    nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
    nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_OUT);
    nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, HOLD_PRIORITY);
    nlh = begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, seq);
    nftnl_chain_nlmsg_build_payload(nlh, c);
    nftnl_chain_free(c);
    mnl_nlmsg_batch_next(batch);
    return 0;
}

static int put_rule(struct mnl_nlmsg_batch *batch, uint16_t queue,
                    uint32_t *seq)
{
    struct nftnl_rule *r = nftnl_rule_alloc();
    struct nlmsghdr *nlh;
    int rc;

    if (!r)
        return -ENOMEM;
    nftnl_rule_set_str(r, NFTNL_RULE_TABLE, DATAPATH_HOLD_TABLE);
    nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, CHAIN);
    nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, NFPROTO_INET);
    rc = add_mark_match(r);
    if (!rc)
        rc = add_queue_target(r, queue);
    if (!rc) {
        nlh = begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, seq);
        nftnl_rule_nlmsg_build_payload(nlh, r);
        mnl_nlmsg_batch_next(batch);
    }
    nftnl_rule_free(r);
    return rc;
}

/* libnftnl-batch(3): everything between begin and end or nothing. */
static int install_xt(uint16_t queue)
{
    char buf[4096];
    struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(buf, sizeof(buf));
    uint32_t seq = (uint32_t)time(NULL), last = 0;
    int rc;

    if (!batch)
        return -ENOMEM;
    nftnl_batch_begin(mnl_nlmsg_batch_current(batch), ++seq);
    mnl_nlmsg_batch_next(batch);
    rc = put_table(batch, NFT_MSG_NEWTABLE, &seq);
    if (!rc)
        rc = put_table(batch, NFT_MSG_DELTABLE, &seq);
    if (!rc)
        rc = put_table(batch, NFT_MSG_NEWTABLE, &seq);
    if (!rc)
        rc = put_chain(batch, &seq);
    if (!rc)
        rc = put_rule(batch, queue, &seq);
    last = seq;
    nftnl_batch_end(mnl_nlmsg_batch_current(batch), ++seq);
    mnl_nlmsg_batch_next(batch);
    if (!rc)
        rc = netlink_request(NETLINK_NETFILTER, mnl_nlmsg_batch_head(batch),
                             mnl_nlmsg_batch_size(batch), last);
    mnl_nlmsg_batch_stop(batch);
    return rc;
}

enum nft_hold_kind nft_hold_install(uint16_t queue)
{
    int native = install_native(queue);
    int xt;

    if (!native)
        return NFT_HOLD_NATIVE;
    xt = install_xt(queue);
    if (!xt)
        return NFT_HOLD_XT;
    log_info("no queue for first SYNs (%s; xtables: %s): connections are "
             "accepted at once",
             strerror(-native), strerror(-xt));
    return NFT_HOLD_NONE;
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
