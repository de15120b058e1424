/*
 * datapath_marks.h - the numbers that tp uses in the shared namespace
 *
 * One list of every mark, table and name, so that nothing collides and a
 * successor recognises what a killed predecessor left.
 *
 * Packet marks: the 32-bit values 0x74700000..0x7471ffff are tp's ("tp" in
 * ASCII is 0x7470) and always compared whole; all other values belong to the
 * developer's programs and are never changed, except on a packet that is
 * captured.
 *
 * A mark grants nothing (SECURITY 14): whoever has NET_RAW can set one with
 * SO_MARK. With the bypass mark his own packets go out by eth0 as they would
 * without tp; with the capture mark for a foreign destination the listener
 * closes the connection; the verdict marks only refuse his own packets.
 */
#ifndef TP_DAEMON_DATAPATH_MARKS_H
#define TP_DAEMON_DATAPATH_MARKS_H

#include "daemon/datapath.h"

/* DATAPATH_BYPASS_MARK is 0x74700000. */
#define DATAPATH_MARK_CAPTURE  0x74700001u /* routed to lo, to the listeners */
#define DATAPATH_MARK_HOLD     0x74700002u /* a first SYN, goes to the queue */
#define DATAPATH_MARK_RESET    0x74700003u /* verdicts on a held SYN: RST */
#define DATAPATH_MARK_HOST     0x74700004u /* ICMP host unreachable */
#define DATAPATH_MARK_NET      0x74700005u /* ICMP net unreachable */
#define DATAPATH_MARK_PROHIBIT 0x74700006u /* ICMP admin prohibited */
/* 0x7471PPPP: by UDP from tp-daemon, the source port is still to become PPPP:
 * an answer, or, if it is not for this namespace, to be refused as if its port
 * had no listener. */
#define DATAPATH_MARK_SPORT      0x74710000u
#define DATAPATH_MARK_SPORT_MASK 0xffff0000u

#define DATAPATH_ROUTE_TABLE   29808 /* 0x7470 */
#define DATAPATH_RULE_PRIORITY 29808
#define DATAPATH_ROUTE_PROTO   116 /* 't': who made the route and the rule */

#define DATAPATH_TABLE      "tp"
#define DATAPATH_HOLD_TABLE "tp-hold"
/* The first queue that is free from here on. */
#define DATAPATH_QUEUE_FIRST 29808
#define DATAPATH_QUEUE_TRIES 16

#endif
